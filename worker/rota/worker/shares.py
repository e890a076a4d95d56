"""How a worker divides its free places between the groups that it serves: by measured service.

Within a group the store's claim script chooses between the tenants; between groups nobody but the
worker can, because groups may live on different machines. A place goes to the group that was
served least; what a run takes is guessed when it starts and corrected when it has ended.
"""

import heapq
from collections import Counter
from collections.abc import Collection

_FIRST_GUESS_MS = 100.0  # what a run is thought to take before the first one has ended
_GAIN = 0.2  # weight of the newest run in a group's estimate


class _Share:
    def __init__(self) -> None:
        self.ready = False  # whether there may be something to claim
        self.served_ms = 0.0  # service charged so far, by unit of weight
        self.estimate_ms = _FIRST_GUESS_MS
        self.weight = 1.0  # of two groups that have work, the one with 2 gets double

    @property
    def cost_ms(self) -> float:
        """Return what a run that starts is charged, by unit of weight."""
        return self.estimate_ms / self.weight


class Shares:
    """The groups of one worker: which may have work, and how much service each was given."""

    def __init__(self) -> None:
        self._groups: dict[str, _Share] = {}
        self._served_ms = 0.0  # service of the group that was served last, when it was its turn

    @property
    def ready(self) -> list[str]:
        """Return the groups that may have work."""
        return [group for group, share in self._groups.items() if share.ready]

    @property
    def groups(self) -> list[str]:
        """Return every group served."""
        return list(self._groups)

    def set_ready(self, group: str, ready: bool) -> None:
        """Note whether `group` may have work. One that was idle banks no credit."""
        share = self._groups.setdefault(group, _Share())
        if ready and not share.ready:
            share.served_ms = max(share.served_ms, self._served_ms)
        share.ready = ready

    def set_weight(self, group: str, weight: float) -> None:
        """Let `group`, if it is served, have a share of this weight from now on."""
        if group in self._groups:
            self._groups[group].weight = weight

    def split(self, free: int, without: Collection[str] = ()) -> dict[str, int]:
        """Return how many runs to claim from each group, except `without`, with `free` places.

        What a group can't use is offered to the others as soon as it is known to have no more.
        """
        heap = [
            (share.served_ms, group)
            for group, share in self._groups.items()
            if share.ready and group not in without
        ]
        if len(heap) == 1:
            return {heap[0][1]: free} if free else {}
        heapq.heapify(heap)
        wanted: Counter[str] = Counter()
        for _ in range(free if heap else 0):
            served_ms, group = heap[0]
            wanted[group] += 1
            heapq.heapreplace(heap, (served_ms + self._groups[group].cost_ms, group))
        return dict(wanted)

    def charge(self, group: str) -> float:
        """Charge `group` for a run that starts; return the estimate that it was charged, in ms."""
        share = self._groups[group]
        self._served_ms = max(self._served_ms, share.served_ms)
        share.served_ms += share.cost_ms
        return share.estimate_ms

    def settle(self, group: str, charged_ms: float, took_ms: float) -> None:
        """Correct the charge of a run that has ended to what it really took."""
        share = self._groups[group]
        share.served_ms += (took_ms - charged_ms) / share.weight
        share.estimate_ms += _GAIN * (took_ms - share.estimate_ms)
