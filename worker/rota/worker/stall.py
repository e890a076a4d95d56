"""Tells when something has held up the event loop, and which handlers may have done it."""

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

    def handling(self, job_id: str) -> "_Handling":
        """Suspect the handler of this run, which is called on the loop, while in the context."""
        return _Handling(job_id, self._handling, self._ended)

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


class _Handling:
    """A context manager by hand: this is on the way of every run."""

    __slots__ = ("_ended", "_handling", "_job_id")

    def __init__(self, job_id: str, handling: set[str], ended: set[str]) -> None:
        self._job_id, self._handling, self._ended = job_id, handling, ended

    def __enter__(self) -> None:
        self._handling.add(self._job_id)

    def __exit__(self, *_: object) -> None:
        # Who blocks up to its end has left when the turn comes at last.
        self._handling.discard(self._job_id)
        self._ended.add(self._job_id)
