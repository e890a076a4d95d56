"""The occurrences of one job that are due and not told of yet, in order: stretches, and turns.

All here is pure. Where one occurrence ends and the next begins only the calendar knows: each
stretch goes from one due time to another, and all that is due in between belongs to it.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from rota.common.job import Job
from rota.common.ledger import Outcome
from rota.scheduler import calendar
from rota.scheduler.schedule import Due

MOST_MISSED = 1_000  # due times that a run is told of, the last ones


class Kind(Enum):
    """What a stretch of occurrences has in common."""

    NOTED = "noted"  # they are not run: that, and why, is to be told
    OVERLAPS = "overlaps"  # they fell due while a run of the job was not over
    MISSED = "missed"  # nobody sent them when they fell due


class Stretch(NamedTuple):
    """Occurrences that follow each other, and share what is known of them."""

    kind: Kind
    from_ms: int  # when the first is due
    to_ms: int  # when the last is due
    times: int  # how many these are; 0 if they are too many to be counted
    outcome: str = ""  # of what is noted: one of `Outcome`
    detail: str = ""  # of the note; of what was missed the word of `Missed`
    way: str = ""  # the run that was in the way, or makes up for them
    busy_ms: int = 0  # of what overlaps: since when the job has been busy

    @property
    def waits(self) -> bool:
        """Tell whether these may still be run."""
        return self.kind is not Kind.NOTED

    def noted(self, outcome: str, detail: str, way: str | None = None) -> "Stretch":
        """Return these as not to be run."""
        way = self.way if way is None else way
        return Stretch(Kind.NOTED, self.from_ms, self.to_ms, self.times, outcome, detail, way)

    def skipped(self, detail: str = "overlap") -> "Stretch":
        """Return these as skipped in favour of the run in the way."""
        return self.noted(Outcome.SKIPPED, detail)

    def given_up(self) -> "Stretch":
        """Return these as not to be run any more, whatever they waited for."""
        if self.kind is Kind.OVERLAPS:
            return self.skipped()
        return self.noted(Outcome.MISSED, self.detail, "") if self.waits else self


class Turn(NamedTuple):
    """An occurrence that is to be run now, or as soon as what is before it is told."""

    due_ms: int
    missed: tuple[int, ...] = ()  # due times that it makes up for, too, ms
    busy_ms: int = 0  # since when the job has been busy without a break; 0: from now on
    late: bool = False  # whether it makes up for what was missed, behind all that is live

    @property
    def from_ms(self) -> int:
        """Return when it is due."""
        return self.due_ms

    @property
    def to_ms(self) -> int:
        """Return when it is due."""
        return self.due_ms


Line = list[Stretch | Turn]


def merged(items: Iterable[Stretch | Turn]) -> Line:
    """Return the same with neighbours that are alike made one."""
    found: Line = []
    for item in items:
        last = found[-1] if found else None
        if isinstance(item, Stretch) and isinstance(last, Stretch) and _alike(last, item):
            times = last.times + item.times if last.times and item.times else 0
            found[-1] = last._replace(to_ms=item.to_ms, times=times)
        else:
            found.append(item)
    return found


def _alike(one: Stretch, other: Stretch) -> bool:
    return (one.kind, *one[4:]) == (other.kind, *other[4:])


def cut(job: Job, due: Due, stretch: Stretch, before_ms: int) -> tuple[Stretch | None, ...]:
    """Return what of a stretch is due before `before_ms`, and what is not; None for nothing."""
    if before_ms <= stretch.from_ms:
        return None, stretch
    if before_ms > stretch.to_ms:
        return stretch, None
    last, first = due.last_until(before_ms - 1), due.next_after(before_ms - 1)
    assert last is not None
    assert first is not None
    times = calendar.count(job, stretch.from_ms, last) if stretch.times else 0
    return (
        stretch._replace(to_ms=last, times=times),
        stretch._replace(from_ms=first, times=stretch.times - times),
    )


def last_times(due: Due, stretch: Stretch, most: int) -> list[int]:
    """Return the due times of a stretch, in order; of more than `most` the last ones."""
    return list(_backwards(due, stretch, most))[::-1]


def _backwards(due: Due, stretch: Stretch, most: int) -> Iterator[int]:
    moment: int | None = stretch.to_ms
    for _ in range(most):
        if moment is None or moment < stretch.from_ms:
            return
        yield moment
        moment = due.last_until(moment - 1)


def first_times(due: Due, stretch: Stretch, most: int) -> list[int]:
    """Return the due times of a stretch, in order; of more than `most` the first ones."""
    found: list[int] = []
    moment: int | None = stretch.from_ms
    while moment is not None and moment <= stretch.to_ms and len(found) < most:
        found.append(moment)
        moment = due.next_after(moment)
    return found
