"""What is found of occurrences that have fallen due: whether they overlapped a run, or what else.

Pure. How it is found, at once or one after the other, makes no difference.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rota.common.job import Job
from rota.common.ledger import Missed
from rota.scheduler.calendar import Span
from rota.scheduler.line import Kind, Stretch, cut
from rota.scheduler.schedule import Due
from rota.scheduler.withheld import Withhold

_NEVER = 1 << 62  # ms


class Ground(NamedTuple):
    """What it depends on. Times are in ms."""

    job: Job
    due: Due
    way: str  # the run that may have been in the way
    busy_ms: int  # since when the job was busy with it; 0: nobody knows
    ended_ms: int | None  # when it ended; None if it is in flight
    since_ms: int  # from when on we lead the job

    def find(self, spans: Iterable[Span]) -> Iterator[Stretch]:
        """Return what is found of these, in order."""
        for span in spans:
            if span.outcome:
                yield Stretch(Kind.NOTED, *span)
                continue
            rest: Stretch | None = Stretch(Kind.MISSED, *span[:3], detail=Missed.STALLED)
            for end_ms, kind in self._parts():
                part, rest = self._cut(rest, end_ms)
                if part is not None and kind is Kind.OVERLAPS:
                    part = part._replace(kind=kind, detail="", way=self.way, busy_ms=self.busy_ms)
                if part is not None:
                    yield from self._whose(part)

    def ask(self, part: Stretch, withhold: Withhold) -> Iterator[Stretch]:
        """Ask of each of these, which wait, whether it is withheld by now."""
        rest: Stretch | None = part
        while rest is not None:
            one, rest = self._cut(rest, rest.from_ms + 1)
            assert one is not None
            why = withhold(self.job, one.from_ms)
            yield one.noted(why.outcome, why.detail, "") if why else one

    def _parts(self) -> Iterator[tuple[int, Kind]]:
        """Return what occurrences are that were due before these times."""
        running = self.ended_ms is None
        if self.job.overlap != "allow" and (running or (self.ended_ms or 0) > self.busy_ms > 0):
            yield self.busy_ms, Kind.MISSED
            yield (_NEVER if running else (self.ended_ms or 0) + 1), Kind.OVERLAPS
        yield _NEVER, Kind.MISSED

    def _whose(self, part: Stretch) -> Iterator[Stretch]:
        """Tell apart what was missed before we led the job."""
        if part.kind is not Kind.MISSED:
            yield part
            return
        before, after = self._cut(part, self.since_ms + 1)
        if before is not None:
            yield before._replace(detail=Missed.DOWN)
        if after is not None:
            yield after

    def _cut(self, part: Stretch | None, before_ms: int) -> tuple[Stretch | None, ...]:
        return (None, None) if part is None else cut(self.job, self.due, part, before_ms)
