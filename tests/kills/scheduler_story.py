"""A scheduler is killed while it comes to lead, enqueues, awaits, cancels, and resigns."""

import json
from itertools import count

from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.scheduler import trigger
from tests.kills import plan, victims
from tests.kills.checkpoint import Checkpoint, Point
from tests.kills.plan import STEADY
from tests.kills.trial import PATIENCE, Lane, Trial
from tests.kills.victims import Victim
from tests.support import probe
from tests.support.builders import GROUP

_numbers = count(1)


async def play(lane: Lane, point: Point | None) -> Trial:
    """Let a scheduler live, be killed at `point`, and another one go on.

    A worker is at work all the time; it writes to the file `audit` of the lane.
    """
    tenant = f"t{next(_numbers)}"
    trial = Trial(lane, tenant, lane.folder / "audit")
    for job in plan.jobs(tenant):
        kind = "manual" if job.name == "hand" else job.schedule.kind
        period_ms = job.schedule.period_ms
        trial.note("job", job=job.ref, group=job.group, kind=kind, period_ms=period_ms)
    async with trial.listening():
        await Catalog(trial.store.link).withdraw([GROUP])  # what the last story's left published
        await _trigger(trial, "rest")
        async with Checkpoint(lane.url, point) as checkpoint:
            trial.checkpoint = checkpoint
            victim = _start(trial, checkpoint.url)
            checkpoint.guard(victim.kill)
            await _live(trial, victim)
        trial.died(victim, killed=checkpoint.struck)
        trial.note("faults_over")
        successor = _start(trial, lane.url)
        await _go_on(trial, successor)
        trial.note("draining")
        successor.stop()
        await successor.gone()
        trial.died(successor, killed=False)
        async with trial.sweeping():
            await trial.idle()
            trial.accept(_enqueued(trial, victim, successor))
            await probe.until(lambda: trial.accepted <= trial.ended, PATIENCE)
    return trial


async def _live(trial: Trial, victim: Victim) -> None:
    """Let the scheduler do all that it does, if it lives so long; trigger a job by hand."""
    await probe.until(lambda: not victim.alive or trial.count("delay"), PATIENCE)
    await _trigger(trial, "hand")
    await probe.until(
        lambda: (
            not victim.alive
            or (all(trial.count(job) >= 2 for job in STEADY) and trial.count("slow"))
        ),
        PATIENCE,
    )
    victim.stop()
    await victim.gone()


async def _trigger(trial: Trial, name: str) -> None:
    job = next(job for job in plan.jobs(trial.tenant) if job.name == name)
    trial.accept([await trigger.trigger(job, store=trial.store, clock=SystemClock())])


async def _go_on(trial: Trial, successor: Victim) -> None:
    """Return when each job has run twice more, and the one with a long delay once more."""
    wanted = {job: trial.count(job) + 2 for job in (*STEADY, "slow")} | {"rest": 2}
    await probe.until(
        lambda: not successor.alive or all(trial.count(job) >= n for job, n in wanted.items()),
        PATIENCE,
    )


def _start(trial: Trial, url: str) -> Victim:
    victim = Victim("sched", victims.scheduler, url, trial.folder, trial.tenant)
    trial.began(victim)
    return victim


def _enqueued(trial: Trial, *schedulers: Victim) -> list[str]:
    """Return the runs of which these schedulers have heard that they were accepted."""
    lines = [
        line
        for each in schedulers
        for line in (trial.folder / f"scheduler-{each.pid}.log").read_text().splitlines()
    ]
    return [json.loads(line)["job_id"] for line in lines if '"run_enqueued"' in line]
