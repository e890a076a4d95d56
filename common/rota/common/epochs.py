"""Which epoch of each group this process knows: so it notices that a store has lost writes."""

from collections.abc import Callable

Reopened = Callable[[str, float], None]  # group, seconds until its gate closes


class Epochs:
    """The last epoch heard of each group; who must act on a new one adds itself to `reopened`."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self.reopened: list[Reopened] = []

    def known(self, group: str) -> int:
        """Return the epoch of `group`, 0 if none was heard."""
        return self._known.get(group, 0)

    def note(self, group: str, epoch: int, wait_ms: int) -> None:
        """Take note of what a script answered; tell of an epoch that began behind our back."""
        before = self.known(group)
        if epoch <= before:
            return  # known, or the reply was overtaken by one of a later epoch
        self._known[group] = epoch
        if before or wait_ms:
            for tell in self.reopened:
                tell(group, wait_ms / 1000)
