"""Limits from the configuration to the handlers: a scheduler and two workers never exceed one."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import groupby
from pathlib import Path

import msgspec
import pytest

from rota.common.limits import GroupLimits, TenantLimits
from rota.scheduler.daemon import SchedulerDaemon
from rota.worker import Context, Jobs
from rota.worker.daemon import WorkerDaemon, WorkerOptions
from tests.support import audit, probe
from tests.support.audit import Attempt, Audit
from tests.support.builders import GROUP
from tests.support.definitions import config, job
from tests.support.logbook import Logbook

RUNS = 25  # of each tenant
INTERVAL = 0.1  # seconds between two starts of the rated tenant
LIMITS = GroupLimits(
    tenants={
        "capped": TenantLimits(max_concurrency=2),
        "rated": TenantLimits(interval_ms=INTERVAL * 1000, burst=2),
    },
    handlers={"rare": 1},
)
handlers = Jobs()


@handlers.handler("work")
async def work(ctx: Context) -> None:
    """Take some time."""
    with audit.recorded(ctx):
        await asyncio.sleep(0.03)


@handlers.handler("rare")
async def rare(ctx: Context) -> None:
    """Take some time."""
    await work(ctx)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which the handlers record what they do."""
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "audit"))
    return tmp_path / "audit"


def attempts(read: Audit) -> dict[str, list[Attempt]]:
    """Return the attempts of each tenant, by start."""
    found = sorted(each for run in read.runs().values() for each in run)
    return {
        tenant: sorted(group, key=lambda each: each.start)
        for tenant, group in groupby(found, lambda each: each.job.partition("/")[0])
    }


def at_once(found: list[Attempt]) -> int:
    """Return how many ran at a time, at most."""
    return max(sum(b.start <= a.start < b.end for b in found) for a in found)


def parts(url: str) -> Iterator[SchedulerDaemon | WorkerDaemon]:
    """Build a scheduler and two workers."""
    jobs = [
        job(f"{tenant}/j{n}", every="100ms", handler="rare" if tenant == "rare" else "work")
        for tenant in ("capped", "rated", "rare", "free")
        for n in range(4)
    ]
    configured = msgspec.structs.replace(config(*jobs), limits={GROUP: LIMITS})
    yield SchedulerDaemon(url, configured, log=Logbook().log)
    for _ in range(2):
        options = WorkerOptions(app=__name__, groups=[], concurrency=10, grace=5)
        yield WorkerDaemon(url, handlers, options, log=Logbook().log)


async def test_limits_are_kept(url: str, path: Path) -> None:
    """Tenants and handlers stay within their limits, use them up, and hold up nobody else."""

    def enough() -> dict[str, list[Attempt]] | None:
        found = attempts(Audit(path)) if path.exists() else {}
        return found if len(found) == 4 and all(len(a) >= RUNS for a in found.values()) else None

    async with AsyncExitStack() as running:
        for part in parts(url):
            await part.start()
            running.push_async_callback(part.stop)
        found = await probe.until(enough, 30)
    assert found is not None
    starts = [each.start for each in found["rated"]]

    assert 2 == at_once(found["capped"])
    assert 1 == at_once(found["rare"])
    assert 2 < at_once(found["free"])
    for first, begin in enumerate(starts):
        for count, end in enumerate(starts[first:], 1):
            # A start is the claim's; how long it takes to the handler differs by some milliseconds.
            assert count <= 2 + (end - begin + 0.08) / INTERVAL
    assert starts[RUNS - 1] - starts[0] < 2 * RUNS * INTERVAL
