"""Looks at one run each second until it is over."""

import asyncio
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger

from rota.common.errors import NotFound, RotaError
from rota.common.link import Link
from rota.common.service import Loop
from rota.scheduler import live_run
from rota.scheduler.live_run import LiveRun

_PERIOD = 1.0  # seconds


class Onlooker(Loop):
    """Shows a run again and again; while the store is away it waits."""

    interruptible = True

    def __init__(
        self,
        job_id: str,
        *,
        link: Link,
        show: Callable[[LiveRun], None],
        log: FilteringBoundLogger,
    ) -> None:
        super().__init__(log=log)
        self._job_id = job_id
        self._link = link
        self._show = show
        self._end: asyncio.Future[LiveRun] = asyncio.get_running_loop().create_future()

    async def turn(self) -> float | None:
        """Look once."""
        try:
            run = await live_run.read(self._job_id, self._link)
        except NotFound as error:
            self._end.set_exception(error)
            return None
        self._show(run)
        if run.over:
            self._end.set_result(run)
            return None
        return _PERIOD

    async def end(self) -> LiveRun:
        """Return the run when it is over; raises `NotFound` if the store knows nothing of it."""
        failure = asyncio.create_task(self.failed.wait())
        either: list[asyncio.Future[Any]] = [self._end, failure]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        failure.cancel()
        if not self._end.done():
            raise RotaError("looking failed: see the log")
        return self._end.result()


async def follow(
    job_id: str, link: Link, show: Callable[[LiveRun], None], log: FilteringBoundLogger
) -> LiveRun:
    """Show a run until it is over; return it as it is then."""
    onlooker = Onlooker(job_id, link=link, show=show, log=log)
    await onlooker.start()
    try:
        return await onlooker.end()
    finally:
        await onlooker.stop()
