"""Limits held against what handlers did: never exceeded, and used to the full after the faults.

What a stopped worker still does when it goes on, before it knows that its leases are over, is not
a new start and no store can prevent it: up to a cancel tick of that is counted apart, as late.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.history import Attempt, History, Line, Span
from tests.chaos.invariants import CANCEL_TICK

_UNDER_WAY = 0.25  # seconds between a claim, which spends a permit, and the start that we see
_ENOUGH = 0.7  # part of its rate that a tenant is to get after the faults; attempts rest, too


class Excess(NamedTuple):
    """More at a time than a limit allows."""

    what: str
    most: int
    running: int
    at: float  # monotonic seconds
    seconds: float

    def __str__(self) -> str:
        at = f"{self.seconds * 1000:.0f} ms from {self.at:.3f}"
        return f"{self.what}: {self.running} at a time for {at}, not {self.most}"


class Usage(NamedTuple):
    """What was made of the limits."""

    limits: int
    starts: int  # under any limit
    full: float  # the longest time from the end of the faults until a limit was in full use, s
    late: list[Excess]  # by what stopped workers did late

    def __str__(self) -> str:
        longest = max((each.seconds for each in self.late), default=0.0) * 1000
        late = f"{len(self.late)} times by runs of stopped workers, at most {longest:.0f} ms"
        return (
            f"{self.limits} limits, {self.starts} starts under them; in full use"
            f" {self.full:.1f} s after the last fault at the latest; passed {late}"
        )


def excesses(history: History) -> list[Excess]:
    """Find limits on what runs at a time that were exceeded, without what is late."""
    return [
        each for line in _caps(history) for each in _above(line, _spans(history, line, strict=True))
    ]


def exceeded(history: History) -> list[str]:
    """Find rates that were exceeded: in any time d more than burst and what the rate gives in d."""
    found = []
    for line in _rates(history):
        starts = [
            a.start for a in _attempts(history, line) if not _just_went_on(history, a, a.start)
        ]
        allowed = line["burst"] * line["interval"] + _UNDER_WAY
        ahead = [n * line["interval"] - at for n, at in enumerate(starts)]
        least = float("inf")
        for n, (own, at) in enumerate(zip(ahead, starts, strict=True)):
            least = min(least, own)
            if own - least + line["interval"] > allowed:
                over = (own - least + line["interval"] - allowed) / line["interval"]
                found.append(f"{line['what']}: start {n} at {at:.3f} is {over:.2f} runs too many")
    return found


def unused(history: History) -> list[str]:
    """Find permits that were lost: limits that were not used to the full after the faults."""
    since, until = history.moment("faults_over"), history.moment("draining")
    found = [
        f"{line['what']}: never again {line['most']} at a time"
        for line in _caps(history)
        if line["full"] and _full_at(history, line) is None
    ]
    for line in _rates(history):
        starts = [a for a in _attempts(history, line) if since <= a.start <= until]
        least = _ENOUGH * (until - since) / line["interval"] - 1
        if len(starts) < least:
            found.append(f"{line['what']}: only {len(starts)} starts, not {least:.1f}")
    return found


def usage(history: History) -> Usage | None:
    """Return how limits were used; None if there were none."""
    lines = history.of("limit")
    if not lines:
        return None
    reached = [_full_at(history, line) for line in _caps(history) if line["full"]]
    since = history.moment("faults_over")
    jobs = {job for line in lines for job in line["jobs"]}
    real = {(each.what, each.at + each.seconds) for each in excesses(history)}
    all_ = [e for line in _caps(history) for e in _above(line, _spans(history, line, strict=False))]
    return Usage(
        limits=len(lines),
        starts=sum(attempt.job in jobs for attempt in history.attempts),
        full=max((at - since for at in reached if at is not None), default=0.0),
        late=[each for each in all_ if (each.what, each.at + each.seconds) not in real],
    )


def _caps(history: History) -> list[Line]:
    return [line for line in history.of("limit") if "most" in line]


def _rates(history: History) -> list[Line]:
    return [line for line in history.of("limit") if "interval" in line]


def _attempts(history: History, line: Line) -> list[Attempt]:
    jobs = set(line["jobs"])
    return [attempt for attempt in history.attempts if attempt.job in jobs]


def _spans(history: History, line: Line, *, strict: bool) -> list[Span]:
    spans: list[Span] = []
    for attempt in _attempts(history, line):
        spans += _in_time(history, attempt) if strict else attempt.spans
    return spans


def _in_time(history: History, attempt: Attempt) -> Iterator[Span]:
    """Return when it executed, without a tick each time that its worker went on."""
    for start, end in attempt.spans:
        begin = start + CANCEL_TICK if _just_went_on(history, attempt, start) else start
        if begin < end:
            yield begin, end


def _just_went_on(history: History, attempt: Attempt, at: float) -> bool:
    """Tell whether its worker had been stopped until shortly before."""
    stops = history.stops.get(attempt.owner, [])
    return any(0 <= at - goes_on <= CANCEL_TICK for _, goes_on in stops)


def _steps(spans: Iterable[Span]) -> Iterator[tuple[float, int]]:
    """Return each moment at which something starts or ends, and how many run from then on."""
    running = 0
    # What ends at the very moment at which another starts is counted first.
    for at, by in sorted((at, by) for span in spans for at, by in ((span[0], 1), (span[1], -1))):
        running += by
        yield at, running


def _above(line: Line, spans: list[Span]) -> list[Excess]:
    found: list[Excess] = []
    since, peak = 0.0, 0
    for at, running in _steps(spans):
        if running > line["most"]:
            since, peak = (since if peak else at), max(peak, running)
        elif peak:
            found.append(Excess(line["what"], line["most"], peak, since, at - since))
            peak = 0
    return found


def _full_at(history: History, line: Line) -> float | None:
    """Return when the limit was first used to the full after the faults."""
    since, until = history.moment("faults_over"), history.moment("draining")
    steps = pairwise(_steps(_spans(history, line, strict=True)))
    full = [
        max(at, since)
        for (at, running), (to, _) in steps
        if running >= line["most"] and to > since and at < until
    ]
    return min(full, default=None)
