"""What happened, read from the handlers' audit and the driver's log and from nothing else.

Times are seconds of the monotonic clock, which all processes of one machine share.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

FOREVER = float("inf")
_TICK = 0.1  # seconds between two ticks of a handler in a child process

Line = dict[str, Any]
Span = tuple[float, float]


class Attempt(NamedTuple):
    """One call of a handler."""

    job: str  # TENANT/JOB
    job_id: str
    attempt: int
    fence: int
    owner: int  # the worker's process, also for a handler in a child process
    start: float
    end: float  # of one that left no end: when its process died
    outcome: str  # done, failed or cancelled; empty if it left no end
    spans: tuple[Span, ...]  # when it physically executed: not while its process was stopped

    @property
    def executed(self) -> float:
        """Return for how many seconds it executed."""
        return sum(end - start for start, end in self.spans)


class Wipe(NamedTuple):
    """A stretch of acknowledged writes that a fault took away on purpose."""

    since: float
    at: float


class History:
    """All attempts and all that the driver did."""

    def __init__(self, audit: Iterable[Line], ledger: Iterable[Line]) -> None:
        self.events: dict[str, list[Line]] = {}
        for line in ledger:
            self.events.setdefault(line["event"], []).append(line)
        self.over = max((line["at"] for lines in self.events.values() for line in lines), default=0)
        self.group = {line["job"]: line["group"] for line in self.of("job")}
        self.owners = {line["pid"] for line in self.of("started") if line["role"] == "worker"}
        self.deaths = {line["pid"]: line["at"] for line in self.of("killed", "ended")}
        self.stops = self._pairs(self.of("stopped"), self.of("continued", "killed"))
        self.isolations = self._pairs(self.of("isolated"), self.of("rejoined", "killed"))
        self.wipes = [Wipe(line["since"], line["at"]) for line in self.of("wiped")]
        self.attempts = sorted(self._attempts(audit), key=lambda attempt: attempt.start)
        self.by_job: dict[str, list[Attempt]] = {}
        self.by_run: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            self.by_job.setdefault(attempt.job, []).append(attempt)
            self.by_run.setdefault(attempt.job_id, []).append(attempt)

    def of(self, *events: str) -> list[Line]:
        """Return the driver's lines about these events, in their order."""
        lines = [line for event in events for line in self.events.get(event, [])]
        return sorted(lines, key=lambda line: float(line["at"]))

    def moment(self, event: str) -> float:
        """Return when an event happened that happens once; the end of the log if it did not."""
        lines = self.of(event)
        return float(lines[0]["at"]) if lines else self.over

    def disturbed(self, attempt: Attempt, after: float) -> bool:
        """Tell whether its worker was killed, stopped or cut off before `after` s from its end."""
        until = attempt.end + after
        spans = [*self.stops.get(attempt.owner, []), *self.isolations.get(attempt.owner, [])]
        dead_at = self.deaths.get(attempt.owner, FOREVER)
        return dead_at <= until or any(a <= until and attempt.start <= b for a, b in spans)

    def _pairs(self, begins: list[Line], ends: list[Line]) -> dict[int, list[Span]]:
        """Return for each process the spans from a begin to the next end."""
        spans: dict[int, list[Span]] = {}
        for line in begins:
            for pid in _pids(line):
                later = [e["at"] for e in ends if e["at"] >= line["at"] and pid in _pids(e)]
                spans.setdefault(pid, []).append((line["at"], min(later, default=FOREVER)))
        return spans

    def _attempts(self, audit: Iterable[Line]) -> list[Attempt]:
        found: list[list[Line]] = []  # the lines of each attempt
        latest: dict[tuple[str, int, int], list[Line]] = {}
        for line in audit:
            key = (line["job_id"], line["fence"], line["pid"])
            if line["event"] == "start":
                latest[key] = []
                found.append(latest[key])
            latest[key].append(line)
        return [self._attempt(lines) for lines in found]

    def _attempt(self, lines: list[Line]) -> Attempt:
        first, last = lines[0], lines[-1]
        pid = first["pid"]
        owner = pid if pid in self.owners else first["parent"]
        ended = last["event"] == "end"
        end = last["at"] if ended else self._vanished(first, last, owner)
        return Attempt(
            job=first["job"],
            job_id=first["job_id"],
            attempt=first["attempt"],
            fence=first["fence"],
            owner=owner,
            start=first["at"],
            end=end,
            outcome=last["outcome"] if ended else "",
            spans=_without((first["at"], end), self.stops.get(pid, [])),
        )

    def _vanished(self, first: Line, last: Line, owner: int) -> float:
        """Return when an attempt without an end was over."""
        dead_at = float(self.deaths.get(owner, FOREVER))
        if last["event"] == "tick":  # a child process may be killed before its worker dies
            dead_at = min(dead_at, last["at"] + _TICK)
        return max(float(first["at"]), min(dead_at, self.over))


def read(path: Path) -> list[Line]:
    """Return the lines of a file that are whole."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def load(folder: Path) -> History:
    """Return the history in the files `audit` and `ledger` of a folder."""
    return History(read(folder / "audit"), read(folder / "ledger"))


def common(a: Attempt, b: Attempt) -> float:
    """Return for how many seconds both executed."""
    return sum(
        max(0.0, min(end_a, end_b) - max(start_a, start_b))
        for start_a, end_a in a.spans
        for start_b, end_b in b.spans
    )


def _pids(line: Line) -> list[int]:
    return line["pids"] if "pids" in line else [line["pid"]]


def _without(whole: Span, gaps: list[Span]) -> tuple[Span, ...]:
    spans, start = [], whole[0]
    for gap_start, gap_end in sorted(gaps):
        if gap_end > start and gap_start < whole[1]:
            if gap_start > start:
                spans.append((start, gap_start))
            start = gap_end
    if start < whole[1] or not spans:
        spans.append((min(start, whole[1]), whole[1]))
    return tuple(spans)
