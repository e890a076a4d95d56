"""Who is to be looked at when. Those of one moment are kept together, as many jobs share one."""

import heapq


class Agenda:
    """Names by the time at which to look at them, ms. Some may be outdated: whoever looks knows."""

    def __init__(self) -> None:
        self._names: dict[int, list[str]] = {}  # by time
        self._times: list[int] = []  # a heap, each once
        self._open_ms = 0  # the moment that is being looked at
        self._open: list[str] = []  # who is left of it, the first one last

    @property
    def first_ms(self) -> int | None:
        """Return when to look next; None if never."""
        if self._open:
            return self._open_ms
        return self._times[0] if self._times else None

    def add(self, at_ms: int, name: str) -> None:
        """Let `name` be looked at then, behind all who are there already."""
        names = self._names.get(at_ms)
        if names is None:
            self._names[at_ms] = [name]
            heapq.heappush(self._times, at_ms)
        else:
            names.append(name)

    def take(self, now_ms: int) -> tuple[int, str] | None:
        """Take out one who is to be looked at by now, the first; return when, and the name."""
        if not self._open:
            if not self._times or self._times[0] > now_ms:
                return None
            self._open_ms = heapq.heappop(self._times)
            self._open = self._names.pop(self._open_ms)[::-1]
        return self._open_ms, self._open.pop()
