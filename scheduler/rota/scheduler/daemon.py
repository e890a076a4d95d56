"""Builds a scheduler from its parts, and starts and stops them in order."""

import asyncio
import os
import secrets
import socket

from structlog.typing import FilteringBoundLogger

from rota.common import metrics
from rota.common.catalog import Catalog
from rota.common.clock import Clock, SystemClock
from rota.common.limiter import Limiter
from rota.common.link import Link
from rota.common.message import Completion
from rota.common.metrics import Family
from rota.common.pauses import Pauses
from rota.common.revisions import Revision
from rota.common.scripts import GATE_MS
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.scheduler import groups
from rota.scheduler.applied import Applied
from rota.scheduler.applier import Applier
from rota.scheduler.awaited import Awaited
from rota.scheduler.balance import Balance
from rota.scheduler.breakers import Breakers
from rota.scheduler.config import Config
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.follower import Follower
from rota.scheduler.freshness import Freshness
from rota.scheduler.gauges import Gauges
from rota.scheduler.groups import Groups, Member
from rota.scheduler.leader import Leader
from rota.scheduler.led_group import LedGroup
from rota.scheduler.limit_publisher import LimitPublisher
from rota.scheduler.listener import Heard
from rota.scheduler.pause_watch import PauseWatch
from rota.scheduler.publisher import Publisher
from rota.scheduler.reloader import Reloader
from rota.scheduler.source import Source
from rota.scheduler.tally import Tally
from rota.scheduler.watcher import Watcher
from rota.scheduler.withholding import Withholding


class SchedulerDaemon:
    """One scheduler of one store; any number of them follow its configuration and share its groups.

    One that is given a configuration applies it when it starts; and what it reads from `source`
    later, if that is given, when it is told to or that changes.
    """

    def __init__(
        self,
        url: str,
        config: Config | None = None,
        *,
        log: FilteringBoundLogger,
        clock: Clock | None = None,
        heard: Heard | None = None,
        gate_ms: int = GATE_MS,
        lease_ms: int = LEASE_MS,
        command: str = "sched run",
        source: Source | None = None,
    ) -> None:
        self._given = config
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
        self._pauses = PauseWatch(
            pauses=Pauses(self._link), changed=self._withheld_less, log=self._log
        )
        self._breakers = Breakers(catalog=self._catalog, changed=self._withheld_less, log=self._log)
        self._withholding = Withholding(self._pauses, self._breakers)
        self._freshness = Freshness(
            catalog=self._catalog,
            pauses=self._pauses,
            led=self._led,
            clock=self._clock,
            log=self._log,
        )
        self._tally = Tally(self._clock)
        self._gauges = Gauges(
            awaited=self._awaited,
            pauses=self._pauses,
            breakers=self._breakers,
            freshness=self._freshness,
            led=self._led,
        )
        self._dispatcher = Dispatcher(
            store=self._store,
            awaited=self._awaited,
            answered=lambda: self.engine,
            terms=lambda: {group: leader.term for group, leader in self._leaders.items()},
            tally=self._tally,
            clock=self._clock,
            log=self._log,
        )
        self.engine = Engine(
            tell=self._dispatcher, clock=self._clock, withhold_of=self._withholding.of
        )
        self._publisher = Publisher(catalog=self._catalog, log=self._log)
        self._limit_publisher = LimitPublisher(limiter=Limiter(self._store), log=self._log)
        # Limits first: claims are to keep to them when the gate closes.
        self._store.epochs.reopened += [self._limit_publisher.reopened, self._publisher.reopened]
        self._watcher = Watcher(catalog=self._catalog, log=self._log)
        self._balance = Balance()
        self._groups = Groups(
            build=self._member,
            watch=self._watch,
            balance=self._balance,
            catalog=self._catalog,
            log=self._log,
        )
        self.applier = Applier(self._link, command=command)
        self._follower = Follower(
            applier=self.applier,
            catalog=self._catalog,
            groups=self._groups,
            follow=self._follow,
            log=self._log,
        )
        self._loops: list[Loop] = [
            self._dispatcher,
            self._limit_publisher,
            self._publisher,
            self._watcher,
            self._pauses,
            self._breakers,
            self._freshness,
            self._follower,
        ]
        self._reloader = Reloader(source, apply=self.apply, log=self._log) if source else None
        if self._reloader is not None:
            self._loops.append(self._reloader)

    @property
    def _leaders(self) -> dict[str, Leader]:
        return self._groups.leaders

    async def start(self) -> None:
        """Apply what was given, publish what is applied, and lead what nobody leads.

        Raises `StoreUnavailable` if the store can't be reached.
        """
        await self._store.ping()
        if self._given is not None:
            await self.apply(self._given)
        await self._pauses.look()
        await self._follower.look()
        self.engine.start()
        for loop in self._loops:
            self._watch(loop)
            await loop.start()
        await self._groups.start()
        config = self._follower.config
        self._log.info(
            "scheduler_started",
            store=self._link.address,
            revision=self._follower.revision,
            groups=len(config.groups),
            tenants=len(config.tenants),
            jobs=len(config.jobs),
        )

    async def apply(self, config: Config) -> Revision:
        """Make `config` the one that all schedulers of the store follow, unless it is so already.

        Return its revision. Changes are taken up by the running follower.
        """
        revision = await self.applier.ensure(config, self._log)
        self._follower.wake()
        return revision

    def reload(self) -> None:
        """Read the configuration again, and apply it if it says something new."""
        if self._reloader is not None:
            self._reloader.reload()
        else:
            self._log.warning("config_not_reloaded", reason="started without CONFIG")

    async def failed(self) -> None:
        """Return when a part has failed for good."""
        await self._failed.wait()

    def unready(self) -> str:
        """Return why occurrences would not be enqueued in time; empty if they are."""
        if self._failed.is_set():
            return "a part has failed"
        if not self._follower.revision:
            return "no configuration was applied yet: sched apply CONFIG"
        return groups.unready(self._leaders)

    def metrics(self) -> str:
        """Return its numbers in Prometheus' text format."""
        return metrics.page(self.families())

    def families(self) -> list[Family]:
        """Return its numbers."""
        state = self._gauges.families(revision=self._follower.revision, ready=not self.unready())
        return [*state, *self._tally.families()]

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
        await self._groups.stop()
        await self._link.close()
        self._log.info("scheduler_stopped", in_flight=in_flight)

    async def _follow(self, applied: Applied) -> None:
        await self._limit_publisher.follow(applied.limits)  # before any run is enqueued
        await self._publisher.follow(applied.jobs)
        self._watcher.follow(applied.config.jobs)
        self._breakers.follow(applied.config.jobs)
        self._freshness.follow(applied)
        self._gauges.follow(applied)
        self.engine.limit({g: each.catch_up_concurrency for g, each in applied.limits.items()})
        await self._groups.follow(applied)

    def _member(self, group: str) -> Member:
        led = LedGroup(
            group,
            store=self._store,
            catalog=self._catalog,
            engine=self.engine,
            dispatcher=self._dispatcher,
            awaited=self._awaited,
            withholding=self._withholding,
            clock=self._clock,
            log=self._log,
            also=self._hear,
            watch=self._watch,
            lease_ms=self._lease_ms,
        )
        leader = Leader(
            group,
            scheduler_id=self.id,
            led=led,
            balance=self._balance,
            store=self._store,
            clock=self._clock,
            log=self._log,
        )
        return Member(leader, led)

    def _led(self) -> list[str]:
        return [group for group, leader in self._leaders.items() if leader.term]

    def _hear(self, group: str, completion: Completion, at_ms: int) -> None:
        self._tally.ended(completion)
        if self._heard:
            self._heard(group, completion, at_ms)

    def _withheld_less(self) -> None:
        self.engine.look_again()

    def _watch(self, loop: Loop) -> asyncio.Task[None]:
        """Fail as a whole when `loop` fails; the task may be cancelled when that has stopped."""

        async def tell() -> None:
            await loop.failed.wait()
            self._failed.set()

        task = asyncio.create_task(tell())
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return task
