"""The completions that a worker sent last, for a store that lost its last writes."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.run import Claimed, Ended

_SECONDS = 30.0  # longer than any replica may lag behind and still be promoted
_MOST = 10_000  # a worker that completes more than this in that time keeps the newest


class History:
    """The runs that ended in the last 30 s, the newest 10,000 at most."""

    def __init__(self, clock: Clock, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._log = log
        self._sent: deque[tuple[float, Ended]] = deque(maxlen=_MOST)
        self.again: set[Claimed] = set()  # whose completions are being sent once more

    def note(self, ended: Sequence[Ended], words: Mapping[str, str]) -> set[str]:
        """Keep what was accepted now; return the job_ids of what had been accepted before.

        `words` has the answers by job_id.
        """
        if not self.again:  # nearly always
            self._add([end for end in ended if words.get(end.run.job_id) == "completed"])
            return set()
        answered = [end for end in ended if end.run.job_id in words]
        known = {end.run.job_id for end in answered if end.run in self.again}
        fresh = [end for end in answered if end.run.job_id not in known]
        self._add([end for end in fresh if words[end.run.job_id] == "completed"])
        for job_id in (job_id for job_id in known if words[job_id] == "stale"):
            # It had been accepted, and a later run of its job has ended since.
            self._log.debug("completion_told_before", job_id=job_id)
        self.again -= {end.run for end in answered}
        return known

    def _add(self, ended: Iterable[Ended]) -> None:
        now = self._clock.monotonic()
        self._sent.extend((now, end) for end in ended)
        while self._sent and self._sent[0][0] < now - _SECONDS:
            self._sent.popleft()

    def of(self, group: str) -> list[Ended]:
        """Return what was sent lately to `group`, oldest first."""
        since = self._clock.monotonic() - _SECONDS
        return [end for sent, end in self._sent if end.run.group == group and sent >= since]
