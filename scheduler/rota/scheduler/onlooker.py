"""Looks at one run each second until it is over, or the store has been away for too long."""

import asyncio
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger

from rota.common.clock import Clock, SystemClock
from rota.common.errors import NotFound, RotaError, StoreError
from rota.common.link import Link
from rota.common.service import Loop
from rota.scheduler import live_run
from rota.scheduler.live_run import LiveRun

_PERIOD = 1.0  # seconds
_PATIENCE = 30.0  # seconds without the store after which it is given up


class Onlooker(Loop):
    """Shows a run again and again; while the store is away it waits, for 30 s at most."""

    interruptible = True
    longest_pause = 1.0  # people wait

    def __init__(
        self,
        job_id: str,
        *,
        link: Link,
        show: Callable[[LiveRun], None],
        log: FilteringBoundLogger,
        clock: Clock,
    ) -> None:
        super().__init__(log=log)
        self._job_id = job_id
        self._link = link
        self._show = show
        self._clock = clock
        self._heard_at = clock.monotonic()  # when the store answered last
        self._end: asyncio.Future[LiveRun] = asyncio.get_running_loop().create_future()

    async def turn(self) -> float | None:
        """Look once."""
        try:
            run = await live_run.read(self._job_id, self._link)
        except NotFound as error:
            self._end.set_exception(error)
            return None
        except StoreError as error:
            silent = self._clock.monotonic() - self._heard_at
            if silent >= _PATIENCE and not self._end.done():
                text = f"gave up after {silent:.0f} s, {self._job_id} may go on: {error}"
                self._end.set_exception(type(error)(text))
            raise
        self._heard_at = self._clock.monotonic()
        self._show(run)
        if run.over:
            self._end.set_result(run)
            return None
        return _PERIOD

    async def end(self) -> LiveRun:
        """Return the run when it is over.

        Raises `NotFound` if the store knows nothing of it, `StoreError` if that is away for long.
        """
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
    onlooker = Onlooker(job_id, link=link, show=show, log=log, clock=SystemClock())
    await onlooker.start()
    try:
        return await onlooker.end()
    finally:
        await onlooker.stop()
