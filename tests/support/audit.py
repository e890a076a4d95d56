"""What handlers did, in their own words: a file of starts and ends, and questions to ask it.

Each line is one write to a file opened for appending, so lines of many processes never mix. Times
are seconds of the monotonic clock, which all processes of one machine share.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rota.common.clock import SystemClock
from rota.worker import Context

VARIABLE = "ROTA_TEST_AUDIT"  # names the file, for handlers
FOREVER = float("inf")
_CLOCK = SystemClock()


@contextlib.contextmanager
def recorded(ctx: Context) -> Iterator[None]:
    """Write a line when the block starts and one when it ends, however it ends."""
    write(ctx, "start")
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        write(ctx, "end", outcome="cancelled")
        raise
    except BaseException:
        write(ctx, "end", outcome="failed")
        raise
    write(ctx, "end", outcome="done")


def write(ctx: Context, event: str, **fields: Any) -> None:
    """Append one line about this attempt."""
    line = {
        "event": event,
        "job": f"{ctx.tenant}/{ctx.job}",
        "job_id": ctx.job_id,
        "attempt": ctx.attempt,
        "fence": ctx.fence,
        "pid": os.getpid(),
        "parent": os.getppid(),  # for a child process, its worker
        "at": _CLOCK.monotonic(),
        "wall_ms": _CLOCK.now_ms(),
        **fields,
    }
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


class Attempt(NamedTuple):
    """One call of a handler."""

    job: str  # TENANT/JOB
    job_id: str
    attempt: int
    fence: int
    pid: int
    start: float
    end: float = FOREVER  # of one that nobody saw end: when its process died, else never
    outcome: str = ""  # done, failed or cancelled; empty: nobody saw it end


class Audit:
    """A reading of the file. `deaths` tells when which process was seen dead."""

    def __init__(self, path: Path, deaths: Mapping[int, float] | None = None) -> None:
        text = path.read_text() if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # the last line may be under way
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        self.attempts = _attempts(self.lines, deaths or {})

    def of(self, job: str) -> list[Attempt]:
        """Return the attempts of TENANT/JOB, in the order in which they started."""
        return [attempt for attempt in self.attempts if attempt.job == job]

    def runs(self) -> dict[str, list[Attempt]]:
        """Return the attempts of each run, by job_id."""
        runs: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            runs.setdefault(attempt.job_id, []).append(attempt)
        return runs

    def done(self) -> dict[str, int]:
        """Return how often each run came to its end, by job_id."""
        return {i: sum(a.outcome == "done" for a in some) for i, some in self.runs().items()}

    def pids(self) -> dict[int, int]:
        """Return how many attempts each process started."""
        counts: dict[int, int] = {}
        for attempt in self.attempts:
            counts[attempt.pid] = counts.get(attempt.pid, 0) + 1
        return counts

    def again(self) -> set[str]:
        """Return the runs that started more than once."""
        return {job_id for job_id, attempts in self.runs().items() if len(attempts) > 1}

    def overlaps(self) -> list[tuple[Attempt, Attempt]]:
        """Return the pairs of attempts of one job that ran at the same time."""
        jobs: dict[str, list[Attempt]] = {}
        for attempt in self.attempts:
            jobs.setdefault(attempt.job, []).append(attempt)
        return [
            (earlier, later)
            for attempts in jobs.values()
            for earlier, later in combinations(attempts, 2)
            if later.start < earlier.end
        ]

    def unfenced(self) -> list[tuple[Attempt, Attempt]]:
        """Return the pairs of attempts of one run of which the later has no higher fence."""
        return [
            (earlier, later)
            for attempts in self.runs().values()
            for earlier, later in combinations(attempts, 2)
            if later.fence <= earlier.fence
        ]

    def between_starts(self, job: str) -> list[float]:
        """Return the seconds from each start of TENANT/JOB to the next one."""
        starts = [attempt.start for attempt in self.of(job)]
        return [later - earlier for earlier, later in pairwise(starts)]

    def longest_silence(self, event: str, start: float, end: float) -> float:
        """Return the longest time between `start` and `end` without a line of `event`, seconds."""
        at: list[float] = [line["at"] for line in self.lines if line["event"] == event]
        moments = [start, *sorted(moment for moment in at if start < moment < end), end]
        return max(b - a for a, b in pairwise(moments))


def _attempts(lines: list[dict[str, Any]], deaths: Mapping[int, float]) -> list[Attempt]:
    found: dict[tuple[str, int], Attempt] = {}
    for line in lines:
        key = (line["job_id"], line["fence"])  # a claim gives a fence once
        if line["event"] == "start":
            if key in found:
                raise ValueError(f"a claim was started twice: {line} and {found[key]}")
            known = {name: line[name] for name in ("job", "job_id", "attempt", "fence", "pid")}
            # A child process dies with its worker.
            dead_at = deaths.get(line["pid"], deaths.get(line.get("parent", 0), FOREVER))
            found[key] = Attempt(**known, start=line["at"], end=dead_at)
        elif line["event"] == "end":
            found[key] = found[key]._replace(end=line["at"], outcome=line["outcome"])
    return sorted(found.values(), key=lambda attempt: attempt.start)
