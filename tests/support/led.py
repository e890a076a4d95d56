"""One group as a scheduler looks after it, without the daemon around it."""

import asyncio
from typing import Any

from rota.common.catalog import Catalog
from rota.common.pauses import Pauses
from rota.common.service import Loop
from rota.common.store import LEASE_MS, Store
from rota.scheduler.applied import Applied
from rota.scheduler.awaited import Awaited
from rota.scheduler.breakers import Breakers
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.engine import Engine
from rota.scheduler.led_group import LedGroup
from rota.scheduler.pause_watch import PauseWatch
from rota.scheduler.withholding import Withholding
from tests.support import builders
from tests.support.builders import GROUP
from tests.support.logbook import Logbook


class Rig:
    """One group, whose engine is not started: it only knows when which job is due."""

    def __init__(self, store: Store, clock: builders.Clock) -> None:
        log, catalog = Logbook().log, Catalog(store.link)
        awaited = Awaited()
        dispatcher = Dispatcher(
            store=store,
            awaited=awaited,
            answered=lambda: self.engine,
            terms=dict,
            clock=clock,
            log=log,
        )
        self.engine = Engine(tell=dispatcher, clock=clock)
        pauses = PauseWatch(pauses=Pauses(store.link), changed=_never, log=log)
        breakers = Breakers(catalog=catalog, changed=_never, log=log)
        self.led = LedGroup(
            GROUP,
            store=store,
            catalog=catalog,
            engine=self.engine,
            dispatcher=dispatcher,
            awaited=awaited,
            withholding=Withholding(pauses, breakers),
            clock=clock,
            log=log,
            also=None,
            watch=_watch,
            lease_ms=LEASE_MS,
        )

    async def follow(self, what: Applied) -> None:
        """Have the jobs of `what`."""
        await self.led.follow(what.jobs.get(GROUP, []), what.since)

    async def close(self) -> None:
        """Give it up."""
        await self.led.end()
        self.led.close()
        self.engine.stop()

    def due(self) -> dict[str, int | None]:
        """Return when each job is due next."""
        return {ref: self.engine.next_ms(ref) for ref in self.led.held}


def _watch(loop: Loop) -> asyncio.Task[None]:
    async def failed() -> None:
        await loop.failed.wait()

    return asyncio.create_task(failed())


def _never(*_: Any) -> None:
    raise AssertionError("nothing is due while the rig's clock is ahead of ours")
