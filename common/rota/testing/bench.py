"""The worker of a test: claims runs, calls their handlers and reports, when it is told to."""

import asyncio
import sys
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random

from structlog.typing import FilteringBoundLogger

from rota.common import message
from rota.common.clock import Clock
from rota.common.errors import RotaError
from rota.common.job import Job
from rota.common.message import Completion
from rota.common.run import Claimed, Ended, Resting
from rota.common.scripts import REGISTER
from rota.common.store import Store
from rota.common.worker_info import WorkerInfo
from rota.testing.handler import Inline
from rota.testing.naps import Naps
from rota.worker.children import Children
from rota.worker.execution import Execution
from rota.worker.held import HeldRun
from rota.worker.planner import Planner
from rota.worker.registry import Jobs
from rota.worker.runner import Runner
from rota.worker.scribe import Scribe
from rota.worker.stall import Stall
from rota.worker.verdict import Verdicts

ID = "test:0:worker"
_FOR_EVER_MS = 100 * 365 * 86_400_000  # nobody else is there, whom a lease would serve
_PATIENCE = 30.0  # real seconds that handlers may take without anything happening
_LAST_WORDS = 1.0  # real seconds that one may take to end when it is told to
_TIMES = 2  # that it is told: a thread is told, and waited for, until somebody says it again
_LOOK = 0.005  # real seconds until we look for more, while handlers that work may ask for it


class Stuck(RotaError):
    """Something that a test waits for does not come."""


class _Execution(Execution):
    """Lets each run sleep under its own name."""

    naps: Naps

    async def attempt(self, held: HeldRun) -> Ended | Resting:
        with self.naps.of(held):
            return await super().attempt(held)


class Bench:
    """Carries runs out; at most `concurrency` at a time that don't sleep."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        store: Store,
        concurrency: int,
        results: dict[str, bytes],
        dead_tasks: dict[str, Completion],
        seed: int,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._jobs, self._store, self._clock, self._log = Inline(jobs), store, clock, log
        self._concurrency = concurrency
        self._results = results  # what handlers returned, by job_id
        self._dead_tasks = dead_tasks  # the first of each run, by the job_id of that
        self._threads = ThreadPoolExecutor(thread_name_prefix="handler")
        self._scribe = Scribe(store=store, log=log)
        self.naps = Naps()
        self._runner = self._made(Verdicts(worker_id=ID, clock=clock, log=log, random=Random(seed)))
        self._groups: list[str] = []
        self._claimed: deque[Claimed] = deque()  # and not begun
        self._held: list[HeldRun] = []
        self._ended: list[Ended] = []
        self._resting: list[Resting] = []
        self._since = 0.0  # when something happened last, by the loop's time

    def _made(self, verdicts: Verdicts) -> Runner:
        execution = _Execution(
            jobs=self._jobs,
            children=Children("", limit=1, log=self._log),
            threads=self._threads,
            stall=Stall(clock=self._clock, log=self._log),
            scribe=self._scribe,
            planner=Planner(self._store, self._threads, self._clock),
            verdicts=verdicts,
            clock=self._clock,
            log=self._log,
        )
        execution.naps = self.naps
        return Runner(
            places=sys.maxsize,  # who sleeps takes none
            execution=execution,
            report=self._report,
            clock=self._clock,
            log=self._log,
        )

    async def start(self) -> None:
        """Begin to write down what handlers tell of their runs."""
        await self._scribe.start()

    async def serve(self, groups: Sequence[str]) -> None:
        """Serve these groups."""
        self._groups = sorted(groups)
        handlers = [handler.info() for handler in self._jobs.handlers.values()]
        info = WorkerInfo(
            id=ID,
            host="test",
            pid=0,
            groups=self._groups,
            concurrency=self._concurrency,
            started_ms=self._clock.now_ms(),
            handlers=handlers,
        )
        names = [handler.name for handler in handlers]
        values = (ID, _FOR_EVER_MS, message.encode(info), *names)
        await self._store.ask([(REGISTER, group, values) for group in self._groups])

    @property
    def handlers(self) -> Collection[str]:
        """Return the names of the handlers."""
        return self._jobs.handlers.keys()

    def unserved(self, job: Job) -> list[str]:
        """Return the handlers that the phases of a job need, and their tasks, and that nobody has.

        The one for failures is none of these: most runs never need it.
        """
        known = self._jobs.handlers
        called = [job.handler, *(phase.handler for phase in job.phases)]
        tasks = [known[name].tasks for name in called if name in known and known[name].tasks]
        return [name for name in dict.fromkeys([*called, *tasks]) if name not in known]

    async def work(self) -> None:
        """Carry out all that there is.

        It returns when every handler has ended, or sleeps. Raises `Stuck` for one that does
        neither.
        """
        self.naps.wake(self._clock.now_ms())
        if self._held:
            await self._heed()
        while True:
            await self._quiet()
            again = not self._claimed and await self._exchange()
            if self._claimed:
                self._begin(self._claimed.popleft())
            elif not (again or self._awake):
                return

    async def stop(self) -> None:
        """End all handlers that sleep, or hang, and write nothing of their runs."""
        pending = {held.task for held in self._held if held.task}
        for _ in range(_TIMES):
            for task in pending:
                task.cancel()
            if pending:
                _, pending = await asyncio.wait(pending, timeout=_LAST_WORDS)
        await self._scribe.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def _awake(self) -> list[HeldRun]:
        return [held for held in self._held if held not in self.naps]

    @property
    def _places(self) -> int:
        return max(0, self._concurrency - len(self._awake))

    async def _exchange(self) -> bool:
        """Report what has ended and claim what there is; tell whether anything was reported."""
        ended, self._ended = self._ended, []
        resting, self._resting = self._resting, []
        wanted = dict.fromkeys(self._groups, self._places)
        _, claims = await self._store.exchange(ID, ended, resting, wanted, lease_ms=_FOR_EVER_MS)
        for claim in claims.values():
            self._claimed += claim.runs
        # Then there may be more: scripts that the store must be given first come behind the claim.
        return bool(ended or resting)

    def _begin(self, run: Claimed) -> None:
        now = self._clock.monotonic()
        held = HeldRun(run, renewed_at=now, started_at=now, charged_ms=0.0, received_at=now)
        self._held.append(held)
        self._since = asyncio.get_running_loop().time()
        self._runner.begin(held)

    def _report(self, held: HeldRun, report: Ended | Resting | None) -> None:
        self._held.remove(held)
        self.naps.forget(held)
        if isinstance(report, Ended):
            if report.result:
                self._results[held.run.job_id] = report.result
            if report.outcome == "dead" and message.decode_request(held.run.body).task:
                run_id, _, _ = held.run.job_id.rpartition("#")
                self._dead_tasks.setdefault(run_id, message.decode_completion(report.completion))
            self._ended.append(report)
        elif report is not None:
            self._resting.append(report)

    async def _heed(self) -> None:
        """Cancel those that sleep and that somebody has cancelled."""
        by_run: Mapping[Claimed, HeldRun] = {held.run: held for held in self._held}
        cancelled: list[Claimed] = []
        await self._store.renew(list(by_run), _FOR_EVER_MS, cancelled.append)
        for run in cancelled:
            self._runner.cancel(by_run[run])
            self.naps.forget(by_run[run])

    async def _quiet(self) -> None:
        """Return when every handler has ended or sleeps; soon, if there is a place for another."""
        loop = asyncio.get_running_loop()
        while (awake := self._awake) and not (self._places and self._claimed):
            left = self._since + _PATIENCE - loop.time()
            if left <= 0:
                raise Stuck(_hanging(awake))
            try:
                async with asyncio.timeout(min(left, _LOOK) if self._places else left):
                    await self.naps.next()
                self._since = loop.time()
            except TimeoutError:
                if self._places:
                    return


def _hanging(awake: Sequence[HeldRun]) -> str:
    names = ", ".join(held.run.job_id for held in awake)
    return (
        f"{names}: the handler has not ended in {_PATIENCE:g} real seconds. One that calls others"
        " needs Rota(..., concurrency=2) or more; one that is to take long awaits rota.sleep"
    )
