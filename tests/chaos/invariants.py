"""What must hold of a history: one function for each promise.

Each returns what was found against it; nothing means that the promise was kept.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.history import FOREVER, Attempt, History, Span, common

CANCEL_TICK = 0.25  # seconds that a run may go on after its worker came to and lost it
_REPORT = 1.0  # seconds within which a worker that nobody disturbs has reported an end
_RECONNECT = 3.0  # the same from the end of an outage; between two tries it rests up to lease / 6
_STARTING = 5.0  # seconds that a process may take until it has reached the store
_UNDER_WAY = 0.1  # seconds that a write takes to a replica, or an answer to a log
_ROUNDING = 0.02  # seconds between the clock that counts a delay and the audit's


class Overlap(NamedTuple):
    """Two attempts of one job at the same time."""

    seconds: float
    earlier: Attempt
    later: Attempt


class Fate(NamedTuple):
    """What became of the runs that were not done."""

    lost: list[str]  # job_ids
    wiped: list[str]  # those that a fault took away together with the store's data


def fate(history: History) -> Fate:
    """I1: a run that was accepted is done in the end, or a dead letter."""
    accepted = {line["job_id"]: line["at"] for line in reversed(history.of("accepted"))}
    for job_id, attempts in history.by_run.items():
        accepted.setdefault(job_id, attempts[0].start)
    final = history.of("final")
    dead = set(final[-1]["dead"]) if final else set()
    done = {attempt.job_id for attempt in history.attempts if attempt.outcome == "done"}
    lost: list[str] = []
    wiped: list[str] = []
    for job_id in accepted.keys() - done - dead:
        (wiped if _wiped(history, job_id, accepted[job_id]) else lost).append(job_id)
    return Fate(sorted(lost), sorted(wiped))


def _wiped(history: History, job_id: str, accepted_at: float) -> bool:
    """Tell whether the store's data about a run went, while no worker could know of it."""
    attempts = history.by_run.get(job_id, [])
    for wipe in history.wipes:
        if wipe.since - _UNDER_WAY <= accepted_at <= wipe.at + _UNDER_WAY:
            # Only the first counts: what it left behind in a worker's hands was to be saved.
            return not any(a.start <= wipe.at < a.end for a in attempts)
    return False


def restarted(history: History) -> list[str]:
    """Return the runs that began again though their handler had not failed."""
    return [
        job_id
        for job_id, attempts in history.by_run.items()
        if any(attempt.outcome != "failed" for attempt in attempts[:-1])
    ]


def overlaps(history: History) -> list[Overlap]:
    """I2: no job runs twice at once. Returns all overlaps, the shortest too."""
    found = []
    for attempts in history.by_job.values():
        open_: list[Attempt] = []
        for later in attempts:
            open_ = [earlier for earlier in open_ if earlier.end > later.start]
            shared = ((common(earlier, later), earlier) for earlier in open_)
            found += [Overlap(seconds, a, later) for seconds, a in shared if seconds > 0]
            open_.append(later)
    return found


def doubled(history: History) -> list[str]:
    """Find runs done twice though the worker that did it first was there to say so."""
    found = []
    for job_id, attempts in history.by_run.items():
        done = [attempt for attempt in attempts if attempt.outcome == "done"]
        found += [
            f"{job_id} done again after {_told(earlier)}"
            for earlier in sorted(done, key=lambda attempt: attempt.fence)[:-1]
            if not history.disturbed(earlier, _reported(history, earlier) - earlier.end)
        ]
    return found


def _reported(history: History, attempt: Attempt) -> float:
    """Return when its worker has reported its end, if nobody disturbs that worker."""
    told = attempt.end + _REPORT
    for lost, mended in _outages(history):
        if lost <= told and attempt.end <= mended:
            return max(told, mended + _RECONNECT)
    return told


def _outages(history: History) -> Iterator[Span]:
    """Return from when to when the store was away."""
    for mended in history.of("mended"):
        begun = [f["at"] for f in history.of("fault") if f["at"] <= mended["at"]]
        if begun:
            yield begun[-1], mended["at"]


def casualties(history: History) -> list[str]:
    """Find who ended by itself, though not because it started while the store was away."""
    since = {line["pid"]: line["at"] for line in history.of("started")}
    return [
        f"{line['name']} ended by itself"
        for line in history.of("casualty")
        if not any(
            lost <= line["at"] <= mended + _REPORT and line["at"] - since[line["pid"]] <= _STARTING
            for lost, mended in _outages(history)
        )
    ]


def stale(history: History) -> list[str]:
    """I3: the completion of an old fence is not accepted: the newest attempt ends the run."""
    found = []
    for attempts in history.by_run.values():
        newest = max(attempts, key=lambda attempt: attempt.fence)
        if newest.outcome != "done":
            found += [
                f"{_told(old)} counted, though {_told(newest)} had begun"
                for old in attempts
                if old.outcome == "done" and old.fence < newest.fence and newest.start < old.end
            ]
    return found


def fences(history: History) -> list[str]:
    """I4: the fences of a job rise with each attempt.

    A worker that was stopped between claim and start may begin late, for one tick.
    """
    found = []
    for attempts in history.by_job.values():
        highest: Attempt | None = None
        for attempt in attempts:
            if highest is None or attempt.fence > highest.fence:
                highest = attempt
            elif not (attempt.executed <= CANCEL_TICK and attempt.owner in history.stops):
                found.append(f"{_told(attempt)} began after {_told(highest)}")
    return found


def intervals(history: History) -> list[str]:
    """I5: a fixed rate keeps its beat, a fixed delay its distance from the last run's end."""
    found: list[str] = []
    for line in history.of("job"):
        attempts = history.by_job.get(line["job"], [])
        firsts = [a for a in attempts if a is history.by_run[a.job_id][0]]
        check = {"every": _beat, "after": _distance}.get(line["kind"])
        if check:
            found += check(history, firsts, line["period_ms"])
    return found


def _beat(_: History, firsts: list[Attempt], period_ms: int) -> Iterator[str]:
    for one, two in pairwise(firsts):
        apart = due_ms(two.job_id) - due_ms(one.job_id)
        if apart % period_ms:
            yield f"{two.job_id} is due {apart} ms after {one.job_id}, not in steps of {period_ms}"


def _distance(history: History, firsts: list[Attempt], period_ms: int) -> Iterator[str]:
    for one, two in pairwise(firsts):
        ends = [a.end for a in history.by_run[one.job_id] if a.outcome == "done"]
        rest = two.start - min(ends, default=-FOREVER)
        if rest < period_ms / 1000 - _ROUNDING:
            yield f"{two.job_id} began {rest:.3f} s after {one.job_id}, not {period_ms / 1000:g} s"


def wedged(history: History) -> list[str]:
    """I7: after the faults each schedule goes on."""
    begun = {attempt.job for attempt in _after_faults(history)}
    planned = (line["job"] for line in history.of("job") if line["kind"] != "manual")
    return [f"{job} was not run after the faults" for job in planned if job not in begun]


def deaf(history: History) -> list[str]:
    """Each worker that lives takes part again after the faults."""
    since, until = history.moment("faults_over"), history.moment("draining")
    worked = {attempt.owner for attempt in _after_faults(history)}
    return [
        f"worker {line['name']} (pid {line['pid']}) did nothing after the faults"
        for line in history.of("started")
        if line["role"] == "worker"
        and line["at"] < since
        and history.deaths.get(line["pid"], FOREVER) > until
        and line["pid"] not in worked
    ]


def drained(history: History) -> list[str]:
    """I7, I9, I10: nothing is left in the store but what belongs there."""
    final = history.of("final")
    if not final:
        return ["the driver did not get to the end"]
    found = [f"not drained: {final[-1]['counts']}"] if not final[-1]["drained"] else []
    found += [f"record left behind: {record}" for record in final[-1]["leaked"]]
    found += [f"permit not given back: {n} of {key}" for key, n in final[-1]["permits"].items()]
    return found + [f"foreign key: {key}" for key in final[-1]["foreign"]]


def noted(history: History) -> list[str]:
    """I11: the ledger has one entry of each run that was done, as far back as it goes."""
    final = history.of("final")
    found: list[str] = []
    for job, entries in (final[-1].get("noted", {}) if final else {}).items():
        times = Counter((job_id, replays) for job_id, _, replays in entries)
        found += [f"noted {n} times: {job_id}" for (job_id, _), n in times.items() if n > 1]
        kept = {job_id for job_id, _, _ in entries}
        done = {each.job_id for each in history.by_job.get(job, []) if each.outcome == "done"}
        scheduled = sorted(job_id for job_id in kept if "manual" not in job_id)
        if scheduled and not history.wipes:
            found += [f"not noted: {each}" for each in sorted(done - kept) if each > scheduled[0]]
        found += [
            f"{job_id} is noted as {outcome}, and was done"
            for job_id, outcome, _ in entries
            if job_id in done and outcome in ("lost", "skipped")
        ]
    return found


def _after_faults(history: History) -> list[Attempt]:
    since, until = history.moment("faults_over"), history.moment("draining")
    return [attempt for attempt in history.attempts if since <= attempt.start <= until]


def due_ms(job_id: str) -> int:
    """Return the due time in a job_id, in milliseconds since 1970."""
    moment = datetime.fromisoformat(job_id.rpartition(":")[2].removeprefix("manual-"))
    return round(moment.timestamp() * 1000)


def _told(attempt: Attempt) -> str:
    how = attempt.outcome or "cut off"
    return f"{attempt.job_id} fence {attempt.fence} of pid {attempt.owner} ({how})"
