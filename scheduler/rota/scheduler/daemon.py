"""Builds a scheduler from its parts, and starts and stops them in order."""

import asyncio
import os
import secrets
import socket

from structlog.typing import FilteringBoundLogger

from rota.common.catalog import Catalog
from rota.common.clock import Clock, SystemClock
from rota.common.job import Job
from rota.common.limiter import Limiter
from rota.common.link import Link
from rota.common.scripts import GATE_MS
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.scheduler.awaited import Awaited
from rota.scheduler.balance import Balance
from rota.scheduler.config import Config
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.leader import Leader
from rota.scheduler.led_group import LedGroup
from rota.scheduler.listener import Heard
from rota.scheduler.publisher import Publisher
from rota.scheduler.watcher import Watcher


class SchedulerDaemon:
    """One scheduler over one configuration; any number of them share its groups."""

    def __init__(
        self,
        url: str,
        config: Config,
        *,
        log: FilteringBoundLogger,
        clock: Clock | None = None,
        heard: Heard | None = None,
        gate_ms: int = GATE_MS,
        lease_ms: int = LEASE_MS,
    ) -> None:
        self._config = config
        self._jobs: dict[str, list[Job]] = {group: [] for group in config.groups}
        for job in config.jobs:
            self._jobs[job.group].append(job)
        self.id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._log = log.bind(scheduler=self.id)
        self._clock = clock or SystemClock()
        self._heard = heard
        self._lease_ms = lease_ms  # as the workers have it
        self._link = Link(url, gate_ms=gate_ms)
        self._store = Store(self._link)
        self._catalog = Catalog(self._link)
        self._awaited = Awaited()
        self._failed = asyncio.Event()
        self._watching: set[asyncio.Task[None]] = set()
        self._dispatcher = Dispatcher(
            store=self._store,
            awaited=self._awaited,
            finished=lambda ref, at_ms: self.engine.finished(ref, at_ms),  # noqa: PLW0108 - built next
            postpone=lambda ref, due_ms: self.engine.postpone(ref, due_ms),  # noqa: PLW0108 - built next
            terms=lambda: {group: leader.term for group, leader in self._leaders.items()},
            clock=self._clock,
            log=self._log,
        )
        self.engine = Engine(
            fire=self._dispatcher.fire,
            skipped=self._dispatcher.skipped,
            kept_back=self._dispatcher.kept_back,
        )
        self._publisher = Publisher(
            jobs=self._jobs,
            catalog=self._catalog,
            log=self._log,
            limits=config.limits,
            limiter=Limiter(self._store),
        )
        self._store.epochs.reopened.append(self._publisher.reopened)
        balance = Balance(len(self._jobs))
        self._leaders = {group: self._leader(group, balance) for group in self._jobs}
        self._loops: list[Loop] = [
            self._dispatcher,
            self._publisher,
            Watcher(jobs=config.jobs, catalog=self._catalog, log=self._log),
        ]

    async def start(self) -> None:
        """Publish the jobs, and lead what nobody leads.

        Raises `StoreUnavailable` if the store can't be reached.
        """
        await self._store.ping()
        await self._publisher.publish()
        self.engine.start()
        for loop in [*self._loops, *self._leaders.values()]:
            self._watch(loop)
            await loop.start()
        self._log.info(
            "scheduler_started",
            store=self._link.address,
            groups=len(self._jobs),
            tenants=len(self._config.tenants),
            jobs=len(self._config.jobs),
        )

    async def failed(self) -> None:
        """Return when a part has failed for good."""
        await self._failed.wait()

    def unready(self) -> str:
        """Return why occurrences would not be enqueued in time; empty if they are."""
        if self._failed.is_set():
            return "a part has failed"
        reasons = ((group, leader.unready()) for group, leader in self._leaders.items())
        return next((f"group {group}: {reason}" for group, reason in reasons if reason), "")

    async def stop(self) -> None:
        """Send what was fired, give up our groups. Runs in flight go on; others await them.

        The dispatcher stops before the leaders, because they take its outbox away. The link closes
        last, because the others speak through it.
        """
        in_flight = len(self._awaited)
        self.engine.stop()
        for task in self._watching:
            task.cancel()
        for loop in self._loops:
            await loop.stop()
        await asyncio.gather(*(leader.stop() for leader in self._leaders.values()))
        await self._link.close()
        self._log.info("scheduler_stopped", in_flight=in_flight)

    def _leader(self, group: str, balance: Balance) -> Leader:
        led = LedGroup(
            group,
            self._jobs[group],
            store=self._store,
            catalog=self._catalog,
            engine=self.engine,
            dispatcher=self._dispatcher,
            awaited=self._awaited,
            clock=self._clock,
            log=self._log,
            also=self._heard,
            watch=self._watch,
            lease_ms=self._lease_ms,
        )
        return Leader(
            group,
            scheduler_id=self.id,
            led=led,
            balance=balance,
            store=self._store,
            clock=self._clock,
            log=self._log,
        )

    def _watch(self, loop: Loop) -> asyncio.Task[None]:
        """Fail as a whole when `loop` fails; the task may be cancelled when that has stopped."""

        async def tell() -> None:
            await loop.failed.wait()
            self._failed.set()

        task = asyncio.create_task(tell())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return task
