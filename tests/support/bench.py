"""A runner without a store: runs go in, reports come out."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from rota.common import message
from rota.common.clock import SystemClock
from rota.common.link import Link
from rota.common.message import Completion, Failure
from rota.common.run import Claimed, Ended, Resting
from rota.common.store import Store
from rota.worker import Jobs
from rota.worker.children import Children
from rota.worker.execution import Execution
from rota.worker.held import HeldRun
from rota.worker.planner import Planner
from rota.worker.runner import Runner
from rota.worker.scribe import Scribe
from rota.worker.stall import Stall
from rota.worker.verdict import Verdicts
from tests.support import probe
from tests.support.builders import DUE_MS, GROUP, HANDLER
from tests.support.logbook import Logbook

Report = Ended | Resting | None


NOWHERE = "redis://127.0.0.1:1/0"


class Bench:
    """A runner, and what it reports."""

    def __init__(self, execution: Execution, logbook: Logbook, places: int) -> None:
        self.logbook = logbook
        self.reports: list[Report] = []
        self.runner = Runner(
            places=places,
            execution=execution,
            report=lambda _, report: self.reports.append(report),
            clock=SystemClock(),
            log=logbook.log,
        )

    def begin(
        self, body: bytes, attempt: int = 1, *, left_ms: int = 0, ago: float = 0.0
    ) -> HeldRun:
        """Begin an attempt at a run with this body, that was claimed so many seconds ago."""
        run = Claimed(GROUP, "acme/import:20270115T080000Z", 7, attempt, DUE_MS, body, left_ms)
        now = SystemClock().monotonic() - ago
        held = HeldRun(run, renewed_at=now, started_at=now, charged_ms=0.0, received_at=now)
        self.runner.begin(held)
        return held

    async def report(self, body: bytes, attempt: int = 1, **claim: Any) -> Report:
        """Return the report of an attempt at a run with this body; there is only one."""
        self.begin(body, attempt, **claim)
        await self.ended()
        (report,) = self.reports
        self.reports.clear()
        return report

    async def ended(self) -> None:
        """Return when something was reported."""
        await probe.until(lambda: self.reports, within=30.0)


@asynccontextmanager
async def bench(jobs: Jobs, stall: Stall | None = None, places: int = 16) -> AsyncIterator[Bench]:
    """Return a bench; no task fails unheard on its loop."""
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    logbook = Logbook()
    children = Children("child_app", limit=1, log=logbook.log, grace=0.1)
    with ThreadPoolExecutor(2) as threads:
        execution = Execution(
            jobs=jobs,
            children=children,
            threads=threads,
            stall=stall or Stall(clock=SystemClock(), log=logbook.log),
            scribe=Scribe(store=Store(Link(NOWHERE)), log=logbook.log),  # not started
            planner=Planner(Store(Link(NOWHERE)), threads, SystemClock()),
            verdicts=Verdicts(worker_id="w1", clock=SystemClock(), log=logbook.log),
            clock=SystemClock(),
            log=logbook.log,
        )
        yield Bench(execution, logbook, places)
        await children.stop()

    assert [] == unheard


def serving(function: Any) -> Jobs:
    """Return jobs with `function` as the only handler."""
    jobs = Jobs()
    jobs.handler(HANDLER)(function)
    return jobs


def completion(report: Report) -> Completion:
    """Return the completion in a report."""
    assert report is not None
    return message.decode_completion(report.completion)


def error(report: Report) -> Failure:
    """Return why the attempt failed."""
    failure = completion(report).error
    assert failure is not None
    return failure
