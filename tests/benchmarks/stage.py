"""A fleet for a benchmark: a real scheduler, real workers, a store of their own, and a client.

async with Stage(folder, {"acme": Tenant(weight=2)}, workers=4, places=8) as stage:
    await stage.enqueue("acme", [0.1] * 100)
    ...
    await stage.drained()
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from rota.common import keys, message
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.job import job_id
from rota.common.link import Link
from rota.common.message import JobRequest
from rota.common.run import Occurrence
from rota.common.store import Store
from tests.benchmarks.record import Record
from tests.support import probe
from tests.support.processes import Plant

CLOCK = SystemClock()
GROUP = "bench"
_APP, _HANDLER = "tests.system.app.handlers", "work"
_BATCH = 500  # runs that one script enqueues
_NEVER = "0 0 29 2 *"
_HEARD = 5.0  # seconds in which workers hear of groups' weights
_REFILL = 0.1  # seconds between two looks at a backlog


class Tenant(NamedTuple):
    """What the configuration says of a tenant."""

    group: str = GROUP
    limits: Mapping[str, Any] = {}  # weight, max_concurrency, ...


class Stage:
    """Processes at work, and the client that gives them work and knows when it did."""

    def __init__(
        self,
        folder: Path,
        tenants: Mapping[str, Tenant],
        *,
        workers: int,
        places: int,
        lease: str = "15s",
        groups: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir()
        self.places = workers * places
        self._tenants = tenants
        self._workers, self._own = workers, str(places)
        self._groups = groups or {GROUP: {}}
        self._plant = Plant(folder, ROTA_LOG_LEVEL="info", ROTA_LEASE=lease)
        self._numbers = count(1)
        self._given: dict[str, float] = {}  # job_id -> monotonic seconds at which it was enqueued
        self._feeds: list[asyncio.Task[None]] = []

    async def enqueue(self, tenant: str, seconds: Sequence[float]) -> None:
        """Queue a run for each of `seconds`, which it takes."""
        group = self._tenants[tenant].group
        for start in range(0, len(seconds), _BATCH):
            runs = [self._run(tenant, each) for each in seconds[start : start + _BATCH]]
            self._given |= dict.fromkeys((run.job_id for run in runs), CLOCK.monotonic())
            answers = (await self._store.enqueue({group: runs}))[group]
            assert {"queued"} == {word for word, _ in answers}

    def keep_busy(self, tenant: str, seconds: float) -> None:
        """Let a tenant always have enough queued for all places until `fed`."""
        self._feeds.append(asyncio.create_task(self._feed(tenant, seconds)))

    def trickle(self, tenant: str, seconds: float, *, every: float, first: float) -> None:
        """Let a tenant have one run more each `every` seconds until `fed`, from `first` s on."""
        self._feeds.append(asyncio.create_task(self._drip(tenant, seconds, every, first)))

    async def fed(self) -> None:
        """Queue nothing any more."""
        for feed in self._feeds:
            feed.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # any other error is the feed's own
            await asyncio.gather(*self._feeds)
        self._feeds.clear()

    async def drained(self, within: float = 600.0) -> None:
        """Return when nothing is queued or running any more."""
        await self.fed()
        await probe.found(self._empty, within)

    def record(self) -> Record:
        """Return what the handlers wrote so far, beside what was enqueued."""
        return Record(self._plant.audit(), self._given, self.places)

    async def __aenter__(self) -> Self:
        self._plant.__enter__()
        self._link = Link(self._plant.url)
        self._store = Store(self._link)
        try:
            self._plant.start_sched(self._config())
            for number in range(self._workers):
                self._plant.start_worker(_APP, "--concurrency", self._own, name=f"worker-{number}")
            await probe.found(self._ready, 30.0)
            await asyncio.sleep(_HEARD)
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for feed in self._feeds:
            feed.cancel()
        await asyncio.gather(*self._feeds, return_exceptions=True)
        await self._link.close()
        self._plant.__exit__(kind, error, trace)

    def _config(self) -> str:
        job = {"handler": _HANDLER, "cron": _NEVER}
        tenants = {
            name: {"group": tenant.group, **tenant.limits, "jobs": {"never": job}}
            for name, tenant in self._tenants.items()
        }
        return msgspec.json.encode({"groups": self._groups, "tenants": tenants}).decode()

    def _run(self, tenant: str, seconds: float) -> Occurrence:
        name, due_ms = f"job-{next(self._numbers)}", CLOCK.now_ms()
        args = msgspec.Raw(message.encode({"seconds": seconds}))
        request = JobRequest(tenant=tenant, job=name, handler=_HANDLER, args=args)
        return Occurrence(
            job_id=job_id(f"{tenant}/{name}", due_ms),
            tenant=tenant,
            job=name,
            handler=_HANDLER,
            due_ms=due_ms,
            attempts=3,
            keep_ms=0,
            body=message.encode(request),
        )

    async def _feed(self, tenant: str, seconds: float) -> None:
        # What all places together may take until the next look but one, and one run for each.
        enough = round(self.places * (1 + 3 * _REFILL / seconds))
        queue = keys.queue(self._tenants[tenant].group, tenant)
        while True:
            left = await self._link.command("LLEN", queue)
            if left < enough:
                await self.enqueue(tenant, [seconds] * (enough - left))
            await asyncio.sleep(_REFILL)

    async def _drip(self, tenant: str, seconds: float, every: float, first: float) -> None:
        next_at = CLOCK.monotonic() + first
        while True:
            await asyncio.sleep(next_at - CLOCK.monotonic())
            await self.enqueue(tenant, [seconds])
            next_at += every

    async def _ready(self) -> bool:
        """Tell whether every worker serves every group."""
        catalog = Catalog(self._link)
        known = [len(await catalog.workers(group)) for group in self._groups]
        return {self._workers} == set(known)

    async def _empty(self) -> bool:
        found = [await Catalog(self._link).counts(group) for group in self._groups]
        await asyncio.sleep(0.2)
        return not any(each.queued + each.running + each.retrying + each.fanned for each in found)
