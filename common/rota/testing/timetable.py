"""The scheduler of a test: the parts of a real one, which do nothing until they are told to."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from structlog.typing import FilteringBoundLogger

from rota.common import keys, message
from rota.common.catalog import Catalog
from rota.common.clock import Clock
from rota.common.errors import StoreUnavailable
from rota.common.limiter import Limiter
from rota.common.link import Link
from rota.common.message import Completion
from rota.common.pauses import Pauses
from rota.common.service import Loop
from rota.common.state import Operation
from rota.common.store import Answer, Store
from rota.scheduler import applied as contents
from rota.scheduler.applied import Applied
from rota.scheduler.awaited import Awaited
from rota.scheduler.breakers import Breakers
from rota.scheduler.config import Config
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.led_group import LedGroup
from rota.scheduler.limit_publisher import LimitPublisher
from rota.scheduler.listener import Heard, Listener
from rota.scheduler.pause_watch import PauseWatch
from rota.scheduler.publisher import Publisher
from rota.scheduler.successor import Successor
from rota.scheduler.withholding import Withholding

_MOST = 500  # runs that one script promotes


class PromptStore(Store):
    """A store that is not waited for: what is not there yet comes with a later look."""

    asked = 0  # how many scripts were sent to it

    async def attempt(
        self, calls: Sequence[tuple[str, str, Sequence[Any]]], *, apart: bool = False
    ) -> list[Answer | StoreUnavailable]:
        """Ask, and count that."""
        self.asked += len(calls)
        return await super().attempt(calls, apart=apart)

    async def completions(self, group: str, after: str) -> tuple[str, list[tuple[Completion, int]]]:
        """Return what there is behind stream id `after`, at once."""
        entries = await self.link.command("XRANGE", keys.done(group), f"({after}", "+")
        told = [
            (message.decode_completion(fields[b"completion"]), int(fields[b"at"]))
            for _, fields in entries
        ]
        return entries[-1][0].decode() if entries else after, told


class Timetable:
    """What a scheduler does for all groups; it leads without a lease, as there is no other one."""

    def __init__(
        self, link: Link, *, clock: Clock, heard: Heard, log: FilteringBoundLogger
    ) -> None:
        self.store = PromptStore(link)
        self.applied: Applied | None = None
        self._clock, self._log, self._also = clock, log, heard
        self._catalog = Catalog(link)
        self._awaited = Awaited()
        pauses = PauseWatch(pauses=Pauses(link), changed=self._withheld_less, log=log)
        self._breakers = Breakers(catalog=self._catalog, changed=self._withheld_less, log=log)
        self._withholding = Withholding(pauses, self._breakers)
        self._dispatcher = Dispatcher(
            store=self.store,
            awaited=self._awaited,
            answered=lambda: self.engine,
            terms=dict,
            clock=clock,
            log=log,
        )
        self.engine = Engine(tell=self._dispatcher, clock=clock, withhold_of=self._withholding.of)
        self._limits = LimitPublisher(limiter=Limiter(self.store), log=log)
        self._publisher = Publisher(catalog=self._catalog, log=log)
        self._groups: dict[str, LedGroup] = {}
        self._loops: dict[str, list[Loop]] = {}  # of each group
        self._heard = 0
        self.rest_ms: int | None = None  # when the store has something to move on

    async def follow(self, config: Config) -> None:
        """Have this configuration from now on."""
        now_ms = self._clock.now_ms()
        before = self.applied
        applied = before.followed_by(config, now_ms) if before else contents.first(config, now_ms)
        self.applied = applied
        await self._limits.follow(applied.limits)
        await self._publisher.follow(applied.jobs)
        self._breakers.follow(config.jobs)
        self.engine.limit({g: each.catch_up_concurrency for g, each in applied.limits.items()})
        for group, led in self._groups.items():
            await led.follow(applied.jobs.get(group, []), applied.since)
        for group in applied.jobs.keys() - self._groups.keys():
            await self._lead(group, applied)

    async def tell(self) -> None:
        """Tell the store what is due by now."""
        self.engine.turn()
        while await self._dispatcher.turn() == 0 or self._is_late():
            self.engine.turn()

    async def listen(self) -> bool:
        """Hear what has ended; tell whether the store was told anything for that."""
        asked, heard = self.store.asked, self._heard
        for listener in self._all(Listener):
            await listener.turn()
        if self._heard > heard:
            for successor in self._all(Successor):
                await successor.turn()
            await self.tell()
        return self.store.asked > asked

    async def promote(self) -> bool:
        """Queue what has rested; tell whether that is anything. `rest_ms` is set."""
        calls = [(Operation.PROMOTE, group, (_MOST,)) for group in self._groups]
        answers = [answer.values for answer in await self.store.ask(calls)]
        waits = [wait for _, wait in answers if wait >= 0]
        self.rest_ms = self._clock.now_ms() + min(waits) if waits else None
        return any(promoted for promoted, _ in answers) or 0 in waits

    async def stop(self) -> None:
        """Do no more."""
        self.engine.stop()
        for led in self._groups.values():
            await led.end()
            led.close()

    async def _lead(self, group: str, applied: Applied) -> None:
        self._loops[group] = []
        led = LedGroup(
            group,
            store=self.store,
            catalog=self._catalog,
            engine=self.engine,
            dispatcher=self._dispatcher,
            awaited=self._awaited,
            withholding=self._withholding,
            clock=self._clock,
            log=self._log,
            also=self._hear,
            watch=lambda loop: self._take_over(group, loop),
            lease_ms=1,
        )
        await led.follow(applied.jobs[group], applied.since)
        await led.begin()
        self._groups[group] = led

    def _take_over(self, group: str, loop: Loop) -> asyncio.Task[None]:
        """Keep a part from beginning by itself; return a task that the group may cancel."""
        loop.by_hand = True
        self._loops[group].append(loop)
        return asyncio.create_task(_nothing())

    def _all(self, kind: type[Loop]) -> Iterator[Loop]:
        return (loop for loops in self._loops.values() for loop in loops if isinstance(loop, kind))

    def _is_late(self) -> bool:
        return (self.engine.look_ms or self._clock.now_ms() + 1) <= self._clock.now_ms()

    def _hear(self, group: str, completion: Completion, at_ms: int) -> None:
        self._heard += 1
        self._also(group, completion, at_ms)

    def _withheld_less(self) -> None:
        self.engine.look_again()


async def _nothing() -> None:
    """Be a task."""
