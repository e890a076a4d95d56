"""The completions that a worker sent last, for a store that lost its last writes."""

from collections import deque
from collections.abc import Iterable

from rota.common.clock import Clock
from rota.common.run import Claimed, Ended

_SECONDS = 30.0  # longer than any replica may lag behind and still be promoted
_MOST = 10_000  # a worker that completes more than this in that time keeps the newest


class History:
    """The runs that ended in the last 30 s, the newest 10,000 at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sent: deque[tuple[float, Ended]] = deque(maxlen=_MOST)
        self.again: set[Claimed] = set()  # whose completions are being sent once more

    def add(self, ended: Iterable[Ended]) -> None:
        """Keep what was sent now."""
        now = self._clock.monotonic()
        self._sent.extend((now, end) for end in ended)
        while self._sent and self._sent[0][0] < now - _SECONDS:
            self._sent.popleft()

    def of(self, group: str) -> list[Ended]:
        """Return what was sent lately to `group`, oldest first."""
        since = self._clock.monotonic() - _SECONDS
        return [end for sent, end in self._sent if end.run.group == group and sent >= since]
