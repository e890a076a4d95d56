"""How schedulers share the groups: each leads its part, and whoever has more gives one up."""


class Balance:
    """What this scheduler knows of the share-out. Pure arithmetic."""

    def __init__(self, groups: int = 0) -> None:
        self.groups = groups  # how many there are to share
        self._alive: dict[str, int] = {}  # schedulers seen in each group
        self.led: set[str] = set()
        self.asked: set[str] = set()  # groups that we have asked to lead, and not been answered

    @property
    def share(self) -> int:
        """Return how many groups one scheduler leads at most when all take part."""
        return -(-self.groups // max(1, *self._alive.values(), 1))

    def note(self, group: str, schedulers: int) -> None:
        """Take note of how many schedulers take part in `group`.

        The most in any group counts: where one has just given a group up it is not seen.
        """
        self._alive[group] = schedulers

    def forget(self, group: str) -> None:
        """Share out `group` no longer."""
        self._alive.pop(group, None)

    def may_take(self) -> bool:
        """Tell whether to take one more group that nobody leads."""
        return len(self.led | self.asked) < self.share

    def should_give(self) -> bool:
        """Tell whether to give up a group for a scheduler that has fewer."""
        return len(self.led) > self.share
