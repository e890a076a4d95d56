"""How schedulers share the groups: each leads its part, and whoever has more gives one up."""


class Balance:
    """What this scheduler knows of the share-out. Pure arithmetic."""

    def __init__(self, groups: int) -> None:
        self._groups = groups
        self._schedulers = 1
        self.led: set[str] = set()

    @property
    def share(self) -> int:
        """Return how many groups one scheduler leads at most when all take part."""
        return -(-self._groups // self._schedulers)

    def note(self, schedulers: int) -> None:
        """Take note of how many schedulers are alive."""
        self._schedulers = max(1, schedulers)

    def may_take(self) -> bool:
        """Tell whether to take one more group that nobody leads."""
        return len(self.led) < self.share

    def should_give(self) -> bool:
        """Tell whether to give up a group for a scheduler that has fewer."""
        return len(self.led) > self.share
