"""Hears the completions of one group and tells who awaits them."""

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from rota.common.message import Completion
from rota.common.service import Loop
from rota.common.store import Store
from rota.scheduler import pace

Heard = Callable[[str, Completion, int], None]  # group, completion, the store's time in ms


class Listener(Loop):
    """Follows the group's stream of completions from `after` on."""

    interruptible = True

    def __init__(
        self, group: str, *, after: str, store: Store, heard: Heard, log: FilteringBoundLogger
    ) -> None:
        super().__init__(log=log)
        self._group = group
        self._after = after
        self._store = store
        self._heard = heard

    async def turn(self) -> float:
        """Wait for completions and pass them on."""
        self._after, completions = await self._store.completions(self._group, self._after)
        for completion, at_ms in completions:
            self._heard(self._group, completion, at_ms)
        return pace.rest_ms(len(completions)) / 1000
