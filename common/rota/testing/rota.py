"""Rota as a test has it: the real parts on a real store, at a time that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from rota.client import Client
from rota.common import clock, keys
from rota.common import log as logs
from rota.common.embedded import EmbeddedStore
from rota.common.errors import NotFound, UsageError
from rota.common.job import Job, job_id
from rota.common.ledger import Entry, Ledger
from rota.common.link import Link
from rota.scheduler import config as configs
from rota.scheduler import trigger
from rota.scheduler.config import Config
from rota.testing.bench import Bench, Stuck
from rota.testing.context import START
from rota.testing.run import Run, Runs
from rota.testing.timetable import Timetable
from rota.testing.virtual import VirtualClock, moment_ms, span_ms
from rota.worker.registry import Jobs

_LOOK = 0.002  # real seconds between looks while something else is awaited
_T = TypeVar("_T")
Source = Config | Path | str | Mapping[str, Any]


class Rota:
    """A scheduler, a worker and their store in the test's own event loop.

    async with Rota("rota.yaml", jobs, store=store) as rota:
        run = await rota.run("acme/import-orders")
        await rota.advance("1d")

    `config` is a file or a directory, YAML text, or a mapping of what a file would hold. Time
    stands still but for `advance`, and for the rests between attempts that `run` passes. Runs are
    carried out one after the other unless `concurrency` says otherwise. A `store` that all tests
    share is emptied first; without one each starts its own.
    """

    def __init__(
        self,
        config: Source,
        jobs: Jobs,
        *,
        store: EmbeddedStore | None = None,
        start: str | datetime = START,
        concurrency: int = 1,
        seed: int = 0,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._config = configs.of(config)
        self._own = EmbeddedStore() if store is None else None
        self._server = store or self._own or EmbeddedStore()
        self._clock = VirtualClock(moment_ms(start))
        self._link = Link(self._server.url)
        self._runs = Runs()
        self._log = log or logs.within("rota.testing")
        self._timetable = Timetable(
            self._link, clock=self._clock, heard=self._runs.heard, log=self._log
        )
        self._bench = Bench(
            jobs,
            store=self._timetable.store,
            concurrency=concurrency,
            results=self._runs.results,
            dead_tasks=self._runs.dead_tasks,
            seed=seed,
            clock=self._clock,
            log=self._log,
        )
        self._moving = False
        self._client: Client | None = None

    # -- begin and end

    async def __aenter__(self) -> "Rota":
        try:
            if self._own:
                self._own.start()
            await self._link.command("FLUSHALL")
            await self._bench.start()
            await self.apply(self._config)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _end(self) -> None:
        if self._client:
            await self._client.close()
        await self._bench.stop()
        await self._timetable.stop()
        await self._link.close()
        if self._own:
            self._own.stop()

    async def apply(self, config: Source) -> None:
        """Have another configuration from now on, as `sched apply` does."""
        self._config = configs.of(config)
        await self._clock.move(self._clock.now_ms(), self._link, self._config.groups)
        await self._timetable.follow(self._config)
        await self._bench.serve(self._config.groups)

    # -- what is there

    @property
    def now(self) -> datetime:
        """Return the time, aware, UTC."""
        return clock.utc(self._clock.now_ms())

    @property
    def url(self) -> str:
        """Return the store's address."""
        return self._server.url

    @property
    def client(self) -> Client:
        """Return a client for the handlers; await what it returns by `serving`."""
        if self._client is None:
            self._client = Client(self.url)
        return self._client

    def runs(self, ref: str | None = None) -> list[Run]:
        """Return the runs of TENANT/JOB, or of all jobs, that have ended so far, in order."""
        return self._runs.of(ref)

    def next(self, ref: str) -> datetime | None:
        """Return when TENANT/JOB is due next; None if never, or if that waits for a run to end."""
        next_ms = self._timetable.engine.next_ms(self._job(ref).ref)
        return None if next_ms is None else clock.utc(next_ms)

    async def ledger(self, ref: str) -> list[Entry]:
        """Return what the ledger keeps of TENANT/JOB, the latest first.

        `Attempts` of runs that have ended, `Stretch` of occurrences that were not run.
        """
        return await Ledger(self._link).of(self._job(ref).group, ref, self._clock.now_ms())

    # -- what happens

    async def run(
        self, ref: str, *, args: Mapping[str, Any] | None = None, within: str | timedelta = "30d"
    ) -> Run:
        """Run TENANT/JOB now, whatever its schedule, and return how that ended.

        `args` replace those of the configuration that have the same names. The clock moves over the
        rests between attempts; what falls due meanwhile is run, too. Raises `NotFound` if there is
        no such job, or none of the `jobs` has a handler of its phases, `Refused` if a run of it is
        under way, and `Stuck` if it has not ended `within` this time.
        """
        job = self._served(self._job(ref))
        job = replace(job, args={**job.args, **(args or {})})
        with self._alone():
            await self._settle()
            while self._runs.find(job_id(ref, self._clock.now_ms(), manual=True)):
                await self._pass(self._clock.now_ms() + 1)  # it would be the same run again
            run_id = await trigger.trigger(job, store=self._timetable.store, clock=self._clock)
            end_ms = self._clock.now_ms() + span_ms(within)
            await self._until(end_ms, lambda: self._runs.find(run_id) is not None)
            found = self._runs.find(run_id)
            if found is None:
                raise Stuck(await self._why(job, run_id))
            return found

    async def advance(self, by: str | timedelta) -> list[Run]:
        """Let time pass, such as `1h30m`; return the runs that ended meanwhile, in order.

        All that falls due on the way is run when it is due, retries after their rests included.
        """
        return await self._advance(self._clock.now_ms() + span_ms(by))

    async def advance_to(self, moment: str | datetime) -> list[Run]:
        """Let time pass until then, UTC if it names no offset; return the runs as `advance` does.

        Raises `UsageError` for the past.
        """
        end_ms = moment_ms(moment)
        if end_ms < self._clock.now_ms():
            raise UsageError(f"{moment} is past: it is {self.now:%Y-%m-%d %H:%M:%S} UTC")
        return await self._advance(end_ms)

    async def serving(self, awaited: Awaitable[_T]) -> _T:
        """Return what `awaited` does, and carry out what it asks for: calls of `client`, mostly.

        The clock moves over rests between attempts only.
        """
        task = asyncio.ensure_future(awaited)
        with self._alone():
            try:
                while not task.done():
                    await self._settle()
                    if rest_ms := self._timetable.rest_ms:
                        await self._pass(rest_ms)
                    await asyncio.wait([task], timeout=_LOOK)
            finally:
                task.cancel()
        return await task

    async def sleep(self, span: str | timedelta) -> None:
        """Let a handler of the test take so long, by the test's clock. Only for async handlers."""
        await self._bench.naps.nap(self._clock.now_ms() + span_ms(span))

    # -- how

    async def _advance(self, end_ms: int) -> list[Run]:
        before = len(self._runs.ended)
        with self._alone():
            await self._until(end_ms, lambda: False)
            await self._pass(end_ms)
        return self._runs.ended[before:]

    async def _until(self, end_ms: int, over: Callable[[], bool]) -> None:
        """Let happen what is to happen up to `end_ms`, until it is `over`, or nothing is left."""
        await self._settle()
        while not over():
            next_ms = self._next_ms()
            if next_ms is None or next_ms > end_ms:
                return
            await self._pass(next_ms)

    def _next_ms(self) -> int | None:
        """Return when anything is to happen next; None if never."""
        looks = (self._timetable.engine.look_ms, self._timetable.rest_ms, self._bench.naps.until_ms)
        return min((ms for ms in looks if ms is not None), default=None)

    async def _pass(self, now_ms: int) -> None:
        if now_ms > self._clock.now_ms():
            await self._clock.move(now_ms, self._link, self._config.groups)
        await self._settle()

    async def _settle(self) -> None:
        """Let everything happen that is to happen now."""
        moved = True
        while moved:
            await self._timetable.tell()
            await self._bench.work()
            moved = await self._timetable.listen()
            moved = await self._timetable.promote() or moved

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._moving:
            raise UsageError("the clock is moving already: one `run` or `advance` at a time")
        self._moving = True
        try:
            yield
        finally:
            self._moving = False

    def _job(self, ref: str) -> Job:
        for job in self._config.jobs:
            if job.ref == ref:
                return job
        known = ", ".join(job.ref for job in self._config.jobs[:10])
        raise NotFound(f"no job {ref} is configured; there are {known or 'none'}")

    def _served(self, job: Job) -> Job:
        if unserved := self._bench.unserved(job):
            known = ", ".join(sorted(self._bench.handlers)[:10]) or "none"
            raise NotFound(
                f"{job.ref}: no handler is named {', '.join(unserved)} in the jobs that Rota was"
                f" given; there are {known}"
            )
        return job

    async def _why(self, job: Job, run_id: str) -> str:
        key = keys.run(job.group, run_id)
        state = await self._link.command("HGET", key, "state") or b"gone"
        unserved = [name for name in job.handlers if name not in self._bench.handlers]
        if unserved and state in (b"held", b"queued"):
            return f"{run_id} waits: no handler of this name is registered: {', '.join(unserved)}"
        return f"{run_id} has not ended in time, and is {state.decode()}"
