"""Builds a worker from its parts, and starts and stops them in order."""

import asyncio
import os
import secrets
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import msgspec
from structlog.typing import FilteringBoundLogger

from rota.common import metrics
from rota.common.catalog import Catalog
from rota.common.clock import Clock, SystemClock
from rota.common.errors import StoreError
from rota.common.link import Link
from rota.common.metrics import Family
from rota.common.registration import Registration
from rota.common.run import Ended, Resting
from rota.common.scripts import GATE_MS
from rota.common.store import LEASE_MS, Store
from rota.common.worker_info import WorkerInfo
from rota.worker.ahead import Ahead
from rota.worker.children import Children
from rota.worker.courier import Courier
from rota.worker.ear import Ear
from rota.worker.execution import Execution
from rota.worker.held import HeldRun, HeldRuns
from rota.worker.planner import Planner
from rota.worker.registrar import Registrar
from rota.worker.registry import Jobs
from rota.worker.renewer import Renewer
from rota.worker.runner import Runner
from rota.worker.scribe import Scribe
from rota.worker.stall import Stall
from rota.worker.verdict import Verdicts

_OUTCOMES = ("succeeded", "retrying", "dead", "cancelled", "lost")  # of attempts, usually
_EXIT_MS = 1_000  # how long the process may take to end behind its last round trip
_LAST_WORDS = 2.0  # seconds that a handler may take to end when the grace time is over


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator chose for one worker."""

    app: str  # the module that holds the handlers, as given on the command line
    groups: list[str]  # the groups to serve; empty for all
    concurrency: int = 16  # the most runs at a time
    grace: float = 25.0  # seconds that running work may take after SIGTERM
    lease_ms: int = LEASE_MS  # how long a claim or a renewal of a run holds
    gate_ms: int = GATE_MS  # how long a store that may have lost writes stays closed


class WorkerDaemon:
    """One worker: a runner, the courier that feeds it, the renewer that keeps its leases."""

    def __init__(
        self,
        url: str,
        jobs: Jobs,
        options: WorkerOptions,
        *,
        log: FilteringBoundLogger,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._options = options
        self._info = _info(jobs, options, clock)
        self._log = log.bind(worker=self._info.id)
        self._link = Link(url, gate_ms=options.gate_ms)
        self._store = Store(self._link)
        self._held = HeldRuns()
        self._threads = ThreadPoolExecutor(options.concurrency, thread_name_prefix="handler")
        self._children = Children(
            options.app, limit=options.concurrency, log=self._log, lease_ms=options.lease_ms
        )
        self._stall = Stall(clock=clock, log=self._log)
        self._scribe = Scribe(store=self._store, log=self._log)
        self._runner = Runner(
            places=options.concurrency,
            execution=Execution(
                jobs=jobs,
                children=self._children,
                threads=self._threads,
                stall=self._stall,
                scribe=self._scribe,
                planner=Planner(self._store, self._threads, clock),
                verdicts=Verdicts(worker_id=self._info.id, clock=clock, log=self._log),
                clock=clock,
                log=self._log,
            ),
            report=self._report,
            clock=clock,
            log=self._log,
        )
        self._registrar = Registrar(
            info=self._info,
            catalog=Catalog(self._link),
            registration=Registration(self._store),
            held=self._held,
            counts=self._runner.counts,
            serve=self._serve,
            weigh=lambda weights: self._courier.weigh(weights),  # noqa: PLW0108 - built next
            log=self._log,
        )
        self._courier = Courier(
            worker_id=self._info.id,
            concurrency=options.concurrency,
            store=self._store,
            held=self._held,
            clock=clock,
            begin=self._begin,
            register=self._registrar.register,
            log=self._log,
            lease_ms=options.lease_ms,
            ahead=Ahead(clock, self._runner.lanes.withdraw),
        )
        self._renewer = Renewer(
            url=url,
            worker_id=self._info.id,
            held=self._held,
            clock=clock,
            lose=self._runner.lose,
            cancel=self._runner.cancel,
            reopened=self._courier.look,
            log=self._log,
            lease_ms=options.lease_ms,
            gate_ms=options.gate_ms,
        )
        self._ears: dict[str, Ear] = {}

    async def start(self) -> None:
        """Reach the store and begin to work; raises `StoreUnavailable` if it can't be reached."""
        await self._store.ping()
        self._log.info(
            "worker_started",
            store=self._link.address,
            handlers=len(self._info.handlers),
            groups=self._options.groups or "all",
            concurrency=self._options.concurrency,
        )
        for service in (
            self._children,
            self._stall,
            self._scribe,
            self._renewer,
            self._courier,
            self._registrar,
        ):
            await service.start()

    async def failed(self) -> None:
        """Return when a part has failed for good."""
        parts = (self._courier, self._registrar, self._renewer, self._scribe, self._stall)
        waits = [asyncio.create_task(part.failed.wait()) for part in parts]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def unready(self) -> str:
        """Return why the worker should be given nothing; empty if work passes through."""
        if self._registrar.failed.is_set():
            return "a part has failed"
        return self._courier.unready() or self._renewer.unready()

    def metrics(self) -> str:
        """Return its numbers in Prometheus' text format."""
        return metrics.page(self.families())

    def families(self) -> list[Family]:
        """Return its numbers."""
        attempts = metrics.Counter(
            "rota_attempts_total", "Attempts that have ended, by how.", "outcome", _OUTCOMES
        )
        for outcome, count in self._runner.counts.items():
            attempts.add(outcome, count)
        slots, busy = self._options.concurrency, len(self._held) - self._runner.lanes.waiting
        return [
            metrics.gauge("rota_ready", "Whether /readyz says so.", not self.unready()),
            metrics.gauge("rota_slots", "The most runs at a time.", slots),
            metrics.gauge("rota_slots_busy", "Runs that are under way.", busy),
            attempts.family(),
            self._runner.seconds.family(),
        ]

    async def stop(self) -> None:
        """Claim no more, finish within the grace time, give the rest back, uncounted.

        The renewer stops after the last run: a run that still works needs its lease. Runs are given
        back at the very end: a thread that does not heed its cancellation goes on until we exit.
        The link closes last, because the others speak through it.
        """
        self._log.info("worker_stopping", running=len(self._held), grace_s=self._options.grace)
        await self._courier.drain()
        await self._give_back()
        await self._finish()
        rest = await self._interrupt()
        await self._scribe.stop()
        await asyncio.gather(*(ear.stop() for ear in self._ears.values()))
        await self._courier.stop()
        await self._registrar_stop()
        await self._stall.stop()
        await self._renewer.stop()
        await self._children.stop()
        await self._release(rest)
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._link.close()
        self._log.info("worker_stopped", **(self._runner.counts | Counter(released=len(rest))))

    async def _serve(self, group: str) -> None:
        if group not in self._ears:
            self._ears[group] = Ear(
                group,
                worker_id=self._info.id,
                store=self._store,
                held=self._held,
                cancel=self._runner.cancel,
                log=self._log,
            )
            self._ears[group].failed = self._courier.failed  # its failure is the worker's
            await self._ears[group].start()
        await self._courier.serve(group)

    def _begin(self, held: HeldRun) -> None:
        self._runner.begin(held)
        self._ears[held.run.group].wake()

    def _report(self, held: HeldRun, report: Ended | Resting | None) -> None:
        self._courier.report(held, report)

    async def _give_back(self) -> None:
        try:
            await self._courier.give_back(self._runner.lanes.withdraw())
        except StoreError as error:
            self._log.warning("release_failed", error=str(error), left_to="their leases")

    async def _finish(self) -> None:
        tasks = [held.task for held in self._held.snapshot() if held.task]
        if tasks:
            await asyncio.wait(tasks, timeout=self._options.grace)

    async def _interrupt(self) -> list[HeldRun]:
        rest = self._held.snapshot()
        tasks = [held.task for held in rest if held.task]
        for held in rest:
            held.given_back = True  # whatever it returns from now on is not written
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LAST_WORDS)
        return rest

    async def _release(self, rest: list[HeldRun]) -> None:
        working = [held.run for held in rest if held.task and not held.task.done()]
        ended = [held.run for held in rest if held.run not in working]
        if rest:
            try:
                await self._store.release(ended)
                # What can't be stopped works on until this process ends: that must come first.
                await self._store.release(working, rest_ms=_EXIT_MS)
            except StoreError as error:
                self._log.warning("release_failed", error=str(error), left_to="their leases")

    async def _registrar_stop(self) -> None:
        try:
            await self._registrar.stop()
        except StoreError as error:
            self._log.warning("unregister_failed", error=str(error))


def _info(jobs: Jobs, options: WorkerOptions, clock: Clock) -> WorkerInfo:
    host, pid = socket.gethostname(), os.getpid()
    return WorkerInfo(
        id=f"{host}:{pid}:{secrets.token_hex(3)}",
        host=host,
        pid=pid,
        groups=options.groups,
        concurrency=options.concurrency,
        started_ms=clock.now_ms(),
        handlers=[handler.info() for handler in jobs.handlers.values()],
    )
