"""Tells when something has held up the event loop, and which handlers may have done it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock
from rota.common.service import Loop

_PERIOD = 0.5  # seconds between turns
_LATE = 1.0  # seconds that a turn may be late
_NAMED = 5  # job_ids that one warning names


class Stall(Loop):
    """Measures how late its own turn comes, and warns if that is more than a second.

    It can't tell a handler that blocks from a process that was stopped (SIGSTOP), a machine that
    slept or one that is overloaded: the warning then names handlers that did nothing wrong, or
    none. Nor can it warn before the loop goes on: of a handler that blocks for ever, nothing.
    """

    def __init__(self, *, clock: Clock, log: FilteringBoundLogger) -> None:
        super().__init__(log=log)
        self._clock = clock
        self._due: float | None = None  # monotonic seconds of the next turn
        self._handling: set[str] = set()  # job_ids of handlers that run on the loop
        self._ended: set[str] = set()  # and of those that have ended since the last turn

    @contextmanager
    def handling(self, job_id: str) -> Iterator[None]:
        """Suspect the handler of this run, which is called on the loop, while in the context."""
        self._handling.add(job_id)
        try:
            yield
        finally:
            # Who blocks up to its end has left when our turn comes at last.
            self._handling.discard(job_id)
            self._ended.add(job_id)

    async def turn(self) -> float:
        """Warn if this turn comes too late."""
        now = self._clock.monotonic()
        if self._due is not None and now - self._due > _LATE:
            suspects = self._ended | self._handling
            self.log.warning(
                "loop_blocked",
                seconds=round(now - self._due, 1),
                job_ids=sorted(islice(suspects, _NAMED)),
                handlers=len(suspects),
            )
        self._ended.clear()
        self._due = now + _PERIOD
        return _PERIOD
