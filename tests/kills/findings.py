"""What is found against a trial: nothing, if every promise was kept."""

from collections import Counter
from collections.abc import Iterator

from rota.common.ledger import Attempts, Entry, Stretch
from rota.common.message import Completion
from tests.chaos import invariants
from tests.kills import plan
from tests.kills.trial import Trial
from tests.support import builders, ledgers, recount
from tests.support.ledgers import holes


def findings(trial: Trial) -> list[str]:
    """Hold what the handlers wrote and what was told against every promise."""
    history = trial.history()
    cancelled = {told.job_id for told in trial.told if told.outcome == "cancelled"}
    history.events["final"] = [{"event": "final", "at": history.over, "dead": cancelled}]
    return [
        *trial.complaints,
        *(f"lost: {job_id}" for job_id in invariants.fate(history).lost),
        *(f"overlap: {overlap}" for overlap in invariants.overlaps(history)),
        *invariants.doubled(history),
        *invariants.stale(history),
        *invariants.fences(history),
        *invariants.intervals(history),
        *_endings(trial),
    ]


async def left_behind(trial: Trial) -> list[str]:
    """Return what the store should not hold when nothing is in flight."""
    space = await builders.snapshot(trial.store)
    left = {"states": recount.states(space), "slots": recount.slots(space)}
    left["counters"] = await recount.differences(trial.store)
    kept = ledgers.entries(space, trial.tenant)
    all_kept = [entry for each in kept.values() for entry in each]
    return [
        *(f"{what} left: {some}" for what, some in left.items() if some),
        *(f"ledger: {each}" for each in ledgers.ends(all_kept, trial.told)),
        *_holes(trial, kept),
    ]


def _holes(trial: Trial, kept: dict[str, list[Entry]]) -> Iterator[str]:
    """Find occurrences without an outcome, or with two, of the jobs that have a calendar."""
    for job in plan.jobs(trial.tenant):
        found = [e for e in kept.get(job.ref, []) if not isinstance(e, Attempts) or e.due_ms]
        if found and job.schedule.kind == "every":
            first_ms = min(e.from_ms if isinstance(e, Stretch) else e.due_ms for e in found)
            yield from (f"{job.ref}: {each}" for each in holes(job, found, set(), first_ms - 1))


def _endings(trial: Trial) -> Iterator[str]:
    """Find runs that did not end once, with their last attempt, or whose attempts are miscounted.

    An attempt counts unless it was given back. What counted and did not end the run was told.
    """
    ends: dict[str, list[Completion]] = {}
    for told in trial.told:
        if told.outcome != "retrying":
            ends.setdefault(told.job_id, []).append(told)
    failed = Counter(told.job_id for told in trial.told if told.outcome == "retrying")
    attempts: dict[str, int] = {}
    for line in trial.lines():
        attempts[line["job_id"]] = max(line["attempt"], attempts.get(line["job_id"], 0))
    for job_id in trial.accepted | attempts.keys():
        words = [(end.outcome, end.attempt) for end in ends.get(job_id, [])]
        last = attempts.get(job_id, 0)
        if len(words) != 1:
            yield f"{job_id} ended {len(words)} times: {words}"
            continue
        outcome, attempt = words[0]
        if outcome == "dead":
            yield f"{job_id} is dead"
        elif attempt < last or (outcome == "succeeded" and attempt > last):
            yield f"{job_id}: {outcome} with attempt {attempt}, but attempt {last} began"
        elif outcome == "succeeded" and attempt != failed[job_id] + 1:
            yield f"{job_id}: attempt {attempt}, but {failed[job_id]} counted before"
