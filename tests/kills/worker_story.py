"""A worker is killed while it claims, renews, retries, is told to cancel, and gives back."""

from collections.abc import Sequence
from itertools import count, groupby
from pathlib import Path

from rota.common import message
from rota.common.intervention import Intervention
from rota.common.job import Retry, job_id
from rota.common.run import Occurrence
from rota.worker.daemon import WorkerOptions
from tests.kills import victims
from tests.kills.checkpoint import Checkpoint, Point
from tests.kills.trial import PATIENCE, Lane, Trial
from tests.kills.victims import Victim
from tests.support import builders, definitions, probe
from tests.support.builders import DUE_MS, GROUP

LEASE_MS = 1_000
_FIRST = ("quick", "long", "flaky", "units", "doomed")
_LAST = ("linger", "cling")  # given back by the first worker
_numbers = count(1)


async def play(lane: Lane, point: Point | None) -> Trial:
    """Let a worker live, be killed at `point`, and another one do the rest."""
    tenant = f"t{next(_numbers)}"
    trial = Trial(lane, tenant, lane.folder / f"{tenant}.audit")
    async with trial.listening(), trial.sweeping():
        await _enqueue(trial, _FIRST)
        async with Checkpoint(lane.url, point) as checkpoint:
            trial.checkpoint = checkpoint
            victim = _start(trial, checkpoint.url, grace=0.1)
            checkpoint.guard(victim.kill)
            await _live(trial, victim)
        trial.died(victim, killed=checkpoint.struck)
        successor = _start(trial, lane.url, grace=5.0)
        await probe.until(lambda: trial.accepted <= trial.ended, PATIENCE)
        successor.stop()
        await successor.gone()
        trial.died(successor, killed=False)
    _check_units(trial)
    return trial


def _check_units(trial: Trial) -> None:
    """Assert that no unit was lost, and that at most one was committed twice, at once again."""
    lines = Path(f"{trial.audit_file}.units").read_text().split()
    starts = [int(line) for line in lines]

    assert [0, 10, 20, 30] == [start for start, _ in groupby(starts)], starts
    assert len(starts) <= 5, starts


async def _live(trial: Trial, victim: Victim) -> None:
    """Let the worker do its work and be told to stop, if it lives so long."""

    def unless_dead(*jobs: str) -> bool:
        return not victim.alive or all(map(trial.count, jobs))

    await probe.until(lambda: unless_dead("quick"), PATIENCE)
    await _enqueue(trial, ["second"])
    await probe.until(lambda: not victim.alive or trial.started("doomed"), PATIENCE)
    doomed = _run(trial, "doomed").job_id
    await Intervention(trial.store).cancel([(GROUP, doomed)])
    await probe.until(lambda: unless_dead(*_FIRST, "second"), PATIENCE)
    await _enqueue(trial, _LAST)
    await probe.until(lambda: not victim.alive or all(map(trial.started, _LAST)), PATIENCE)
    victim.stop()
    await victim.gone()


def _start(trial: Trial, url: str, grace: float) -> Victim:
    options = WorkerOptions(
        app="tests.kills.handlers", groups=[GROUP], concurrency=8, grace=grace, lease_ms=LEASE_MS
    )
    short = grace < 1
    victim = Victim("worker", victims.worker, url, trial.folder, trial.audit_file, options, short)
    trial.began(victim)
    return victim


async def _enqueue(trial: Trial, jobs: Sequence[str]) -> None:
    runs = [_run(trial, job) for job in jobs]
    await builders.enqueue(trial.store, *runs)
    trial.accept([run.job_id for run in runs])


def _run(trial: Trial, name: str) -> Occurrence:
    handler, args = {
        "long": ("work", {"seconds": 1.3 * LEASE_MS / 1000}),  # it lives by renewals
        "flaky": ("fail-once", {}),
        "units": ("commit", {}),
        "doomed": ("wait", {}),
        "linger": ("linger", {}),
        "cling": ("cling", {}),
    }.get(name, ("work", {"seconds": 0.01}))
    job = definitions.job(
        f"{trial.tenant}/{name}",
        every="1h",
        handler=handler,
        args=args,
        retry=Retry(backoff_ms=20),
    )
    body = message.encode(message.request_for(job))
    return Occurrence.of(job, job_id(job.ref, DUE_MS), due_ms=DUE_MS, keep_ms=0, body=body)
