"""How much the ledger keeps of each job."""

from typing import Final

import msgspec

DAY_MS: Final = 86_400_000


class Retention(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of each job of a group: its last entries, and none that is too old."""

    runs: int = 20  # entries; runs that ended, and stretches of occurrences that were not run
    days: int = 30  # after which an entry is forgotten

    @property
    def ms(self) -> int:
        """Return after how many milliseconds an entry is forgotten."""
        return self.days * DAY_MS


USUAL: Final = Retention()  # of a group that says nothing
