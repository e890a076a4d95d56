"""What becomes of occurrences that could not be run at once: a job's `overlap` and `misfire`.

Pure: no clock, no store. Two steps. `settled` says of a job's line what is certain by now;
`released` lets what is first in it go. Taken at any times between, they lead to the same.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rota.common.job import Job, job_id
from rota.common.ledger import Note, Outcome
from rota.scheduler import line as lines
from rota.scheduler.line import MOST_MISSED, Kind, Line, Stretch, Turn, cut, merged
from rota.scheduler.schedule import Due

ON_TIME_MS = 60_000  # how late an occurrence may be that is still run as if it were on time


class Keep(NamedTuple):
    """Which occurrences of a kind may wait."""

    kind: Kind
    most: int  # so many
    noted: Callable[[Stretch], Stretch]  # what becomes of the others
    last: bool  # whether the last ones wait, else the first ones


def settled(job: Job, due: Due, line: Line, now_ms: int) -> Line:
    """Return the line with all that is certain not to be run as noted, and why."""
    if has(line, Kind.OVERLAPS):
        line = _overlaps(job, due, line)
    if job.misfire != "once" and has(line, Kind.MISSED):
        line = _misfires(job, due, line, now_ms)
    if job.max_lateness_ms:
        line = _too_late(job, due, line, now_ms - job.max_lateness_ms)
    return merged(line) if len(line) > 1 else line


def has(line: Sequence[Stretch | Turn], kind: Kind) -> bool:
    """Tell whether anything in line is of a kind."""
    return any(_is(item, kind) for item in line)


def judged(job: Job, due: Due, line: Line, found: Sequence[Stretch]) -> Sequence[Stretch]:
    """Return what was found behind a line; as skipped what may not wait, as others do already."""
    if job.overlap not in ("queue_one", "queue_all") or not has(found, Kind.OVERLAPS):
        return found
    whole = _overlaps(job, due, [*line, *found])
    first_ms = found[0].from_ms
    return [it for it in whole if isinstance(it, Stretch) and it.from_ms >= first_ms]


def notes(job: Job, line: Line) -> tuple[list[Note], Line]:
    """Return what is to be told before anything of the line may run, and what is left of it."""
    found: list[Note] = []
    for item in line:
        if isinstance(item, Turn) or item.waits:
            break
        names = (job.ref, item.outcome, item.detail)
        found.append(Note(*names, item.from_ms, item.to_ms, item.times, item.way))
    return found, line[len(found) :]


def next_run(job: Job, line: Line) -> int | None:
    """Return when the run was due that is to make up for what was missed, if that is first.

    None if something else is first: that needs no permit.
    """
    if not line or not _is(line[0], Kind.MISSED):
        return None
    return line[0].from_ms if job.misfire == "all" else _row(line)[-1].to_ms


def released(job: Job, due: Due, line: Line, now_ms: int) -> Line:
    """Return a settled line with what is first in it, or stands for it, as a turn.

    Before that are notes on those that it makes up for.
    """
    first = line[0]
    assert isinstance(first, Stretch)
    if first.kind is Kind.MISSED:
        late = (next_run(job, line) or now_ms) < now_ms - ON_TIME_MS
        if job.misfire != "all" and (len(line) > 1 or first.from_ms < first.to_ms):
            return merged(_made_up(job, due, line, late=late))
        turn = Turn(first.from_ms, late=late)
    else:
        turn = Turn(first.from_ms, busy_ms=first.busy_ms)
    _, rest = cut(job, due, first, first.from_ms + 1)
    return [turn, *([rest] if rest else []), *line[1:]]


def _made_up(job: Job, due: Due, line: Line, *, late: bool) -> Line:
    """Let the last of what was missed in a row go for all of it."""
    last = _row(line)[-1]
    way = job_id(job.ref, last.to_ms)
    found: Line = []
    missed: list[int] = []
    for number, item in enumerate(line):
        if not isinstance(item, Stretch) or item.kind is not Kind.MISSED:
            found.append(item)
            continue
        before = cut(job, due, item, item.to_ms)[0] if item is last else item
        if before is not None:
            missed += lines.last_times(due, before, MOST_MISSED)
            found.append(before.noted(Outcome.MISSED, before.detail, way))
        if item is last:
            turn = Turn(item.to_ms, missed=tuple(missed[-MOST_MISSED:]), late=late)
            return [*found, turn, *line[number + 1 :]]
    raise AssertionError("the last one is among them")


def _row(line: Line) -> list[Stretch]:
    """Return what was missed before anything else that is to be run."""
    found: list[Stretch] = []
    for item in line:
        if isinstance(item, Turn) or item.kind is Kind.OVERLAPS:
            break
        if item.kind is Kind.MISSED:
            found.append(item)
    return found


def _skip(line: Line) -> Line:
    return [
        item.skipped() if isinstance(item, Stretch) and item.kind is Kind.OVERLAPS else item
        for item in line
    ]


def _too_late(job: Job, due: Due, line: Line, before_ms: int) -> Line:
    found: Line = []
    for item in line:
        if isinstance(item, Stretch) and item.waits:
            old, rest = cut(job, due, item, before_ms)
            found += [old.noted(Outcome.LATE, "max_lateness", "")] if old else []
            found += [rest] if rest else []
        else:
            found.append(item)
    return found


def _overlaps(job: Job, due: Due, line: Line) -> Line:
    if job.overlap == "skip":
        return _skip(line)
    if job.overlap == "cancel":
        keep = Keep(Kind.OVERLAPS, 1, Stretch.skipped, last=True)
    elif job.overlap == "queue_one":
        keep = Keep(Kind.OVERLAPS, 1, Stretch.skipped, last=False)
    else:
        keep = Keep(Kind.OVERLAPS, job.max_catch_up, _one_too_many, last=False)
    return _kept(job, due, line, keep)


def _misfires(job: Job, due: Due, line: Line, now_ms: int) -> Line:
    if job.misfire == "all":
        return _kept(job, due, line, Keep(Kind.MISSED, job.max_catch_up, _beyond, last=True))
    last = next(item for item in reversed(line) if _is(item, Kind.MISSED))
    most = int(last.to_ms >= now_ms - ON_TIME_MS)
    return _kept(job, due, line, Keep(Kind.MISSED, most, Stretch.given_up, last=True))


def _beyond(missed: Stretch) -> Stretch:
    return missed.noted(Outcome.LATE, "max_catch_up", "")


def _one_too_many(waiting: Stretch) -> Stretch:
    return waiting.skipped("max_catch_up")


def _kept(job: Job, due: Due, line: Line, keep: Keep) -> Line:
    """Let the first or the last occurrences of a kind wait; the others are noted."""
    found: Line = []
    left = keep.most
    for item in reversed(line) if keep.last else line:
        if not isinstance(item, Stretch) or item.kind is not keep.kind:
            found.append(item)
            continue
        if 0 < item.times <= left:
            left -= item.times
            found.append(item)
            continue
        times = (lines.last_times if keep.last else lines.first_times)(due, item, left)
        waits, others = _parted(job, due, item, times, last=keep.last)
        left -= len(times)
        found += [waits] if waits else []
        found += [keep.noted(others)] if others else []
    return found[::-1] if keep.last else found


def _parted(
    job: Job, due: Due, item: Stretch, times: list[int], *, last: bool
) -> tuple[Stretch | None, ...]:
    """Return what of a stretch is due at these times, its first or its last ones, and the rest."""
    if not times:
        return None, item
    return cut(job, due, item, times[0])[::-1] if last else cut(job, due, item, times[-1] + 1)


def _is(item: Stretch | Turn, kind: Kind) -> bool:
    return isinstance(item, Stretch) and item.kind is kind
