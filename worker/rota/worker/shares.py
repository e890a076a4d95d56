"""How a worker divides its free places between the groups that it serves: by measured service.

Within a group the store's claim script chooses between the tenants; between groups nobody but the
worker can, because groups may live on different machines.
"""

_FIRST_GUESS_MS = 100.0  # what a run is thought to take before the first one has ended
_GAIN = 0.2  # weight of the newest run in a group's estimate


class _Share:
    def __init__(self) -> None:
        self.ready = False  # whether there may be something to claim
        self.served_ms = 0.0  # service charged so far
        self.estimate_ms = _FIRST_GUESS_MS


class Shares:
    """The groups of one worker: which may have work, and how much service each was given."""

    def __init__(self) -> None:
        self._groups: dict[str, _Share] = {}

    @property
    def ready(self) -> list[str]:
        """Return the groups that may have work, the least served first."""
        ready = [(share.served_ms, group) for group, share in self._groups.items() if share.ready]
        return [group for _, group in sorted(ready)]

    @property
    def groups(self) -> list[str]:
        """Return every group served."""
        return list(self._groups)

    def set_ready(self, group: str, ready: bool) -> None:
        """Note whether `group` may have work. One that was idle banks no credit."""
        share = self._groups.setdefault(group, _Share())
        if ready and not share.ready:
            others = [s.served_ms for s in self._groups.values() if s.ready]
            share.served_ms = max(share.served_ms, min(others, default=share.served_ms))
        share.ready = ready

    def split(self, free: int) -> dict[str, int]:
        """Return how many runs to claim from each group with `free` places."""
        ready = self.ready
        if not ready:
            return {}
        each, left = divmod(free, len(ready))
        wanted = {group: each + (i < left) for i, group in enumerate(ready)}
        return {group: n for group, n in wanted.items() if n}

    def charge(self, group: str) -> float:
        """Charge `group` for a run that starts; return the estimate that it was charged, in ms."""
        share = self._groups[group]
        share.served_ms += share.estimate_ms
        return share.estimate_ms

    def settle(self, group: str, charged_ms: float, took_ms: float) -> None:
        """Correct the charge of a run that has ended to what it really took."""
        share = self._groups[group]
        share.served_ms += took_ms - charged_ms
        share.estimate_ms += _GAIN * (took_ms - share.estimate_ms)
