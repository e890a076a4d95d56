"""Decides when a handler's progress is worth writing: seldom, whatever the handler calls."""

import sys

from rota.common.clock import Clock
from rota.common.progress import TEXT_CHARS, Mark

_STEPS = 20  # of a whole: 5 % each
_PAUSE = 1.0  # seconds from one write to the next


class Progress:
    """How far one attempt is.

    A write is due when 5 % more are done (of the total, or of what is done if that is unknown),
    when the total or the phase is another, and when all is done; but not within a second of the
    last one, unless all is done. What is left unwritten is written when the attempt ends.
    """

    __slots__ = (
        *("_again", "_attempt", "_base", "_clock", "_done", "_end_again", "_from", "_next"),
        *("_phase", "_since", "_total", "_written"),
    )

    def __init__(self, clock: Clock, attempt: int) -> None:
        self._clock = clock
        self._attempt = attempt
        self._done = -1  # as the handler said last; -1 if it has said nothing
        self._total = 0
        self._phase: str | None = None
        self._from = self._next = 0  # while it is from here to below there, nothing is due
        self._again = self._end_again = 0.0  # monotonic seconds of the next write, and end
        self._base = 0
        self._since = 0.0  # monotonic seconds, when `_base` was done
        self._written: tuple[int, int, str | None] = (-1, 0, None)

    def due(self, done: int, total: int, phase: str) -> Mark | None:
        """Take note of how far the handler is; return what to write, None for nothing."""
        # The way of nearly all calls: nothing is made or called here.
        if self._from <= done < self._next and total == self._total and phase == self._phase:
            self._done = done
            return None
        return self._look(done, total, phase)

    def rest(self) -> Mark | None:
        """Return what the handler said last, if it was not written."""
        said = (self._done, self._total, self._phase)
        if self._done < 0 or said == self._written:
            return None
        return self._write(self._clock.monotonic())

    def _look(self, done: int, total: int, phase: str) -> Mark | None:
        if done < 0 or total < 0:
            raise ValueError(f"progress({done}, {total}): both are 0 or more")
        now = self._clock.monotonic()
        if phase != self._phase or done < self._from:
            self._phase, self._base, self._since = phase, done, now
            self._from = self._next = done
        if total != self._total:
            self._total, self._next = total, done
        self._done = done
        if now >= self._again:
            return self._write(now)
        if 0 < total <= done and now >= self._end_again:
            self._end_again = now + _PAUSE
            return self._write(now)
        return None

    def _write(self, now: float) -> Mark:
        done, total = self._done, self._total
        self._written = (done, total, self._phase)
        self._again = now + _PAUSE
        step = max(1, -(-(total or done) // _STEPS))
        ended = 0 < total <= done
        self._from = done
        self._next = sys.maxsize if ended else min(done + step, total or sys.maxsize)
        return Mark(
            done=done,
            total=total,
            phase=(self._phase or "")[:TEXT_CHARS],
            attempt=self._attempt,
            base=self._base,
            took_ms=int((now - self._since) * 1000),
        )
