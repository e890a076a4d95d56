"""One contract for everything that runs: start and stop, and a loop that returns its delay.

Starting twice, stopping before the start and stopping twice are harmless; `stop` returns when the
service has stopped. This is the only place that sleeps.
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from random import Random
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from rota.common.errors import StoreError


async def give_way() -> None:
    """Let whatever else is ready have its turn, in the middle of a long piece of work."""
    await asyncio.sleep(0)


async def pause(seconds: float) -> None:
    """Let time pass, in the midst of a piece of work; a service returns its delay instead."""
    await asyncio.sleep(seconds)


class Service(Protocol):
    """Something that can be started and stopped."""

    async def start(self) -> None:
        """Begin to work; return at once."""
        ...

    async def stop(self) -> None:
        """End; return when it has ended."""
        ...


class Loop(ABC):
    """A service that does one `turn` after another, each returning the seconds until the next.

    While the store is away it tries again with growing pauses. Any other error is logged and ends
    the loop: `failed` is then set, and whoever built the service stops the process.
    """

    longest_pause = 5.0  # seconds between tries while the store is away
    interruptible = False  # whether `stop` may cancel a turn that is under way
    by_hand = False  # whether somebody else calls `turn`: then `start` begins nothing

    def __init__(self, *, log: FilteringBoundLogger) -> None:
        self.log = log.bind(service=type(self).__name__.lower())
        self.failed = asyncio.Event()
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._random = Random()

    @abstractmethod
    async def turn(self) -> float | None:
        """Do one round; return the seconds until the next, None to wait for `wake`."""

    def wake(self) -> None:
        """End the present delay, or the next one if a turn is under way."""
        self._wake.set()

    async def start(self) -> None:
        """Begin the loop; harmless if it runs already."""
        if self._task is None and not self._stopping and not self.by_hand:
            self._task = asyncio.create_task(self._run(), name=type(self).__name__)

    async def stop(self) -> None:
        """End the loop after its turn; harmless before `start` and when repeated."""
        self._stopping = True
        self._wake.set()
        while self._task is not None and not self._task.done():
            if self.interruptible:
                self._task.cancel()
            # Again if it was lost: until Python 3.12 `wait_for` swallows one that comes late.
            await asyncio.wait([self._task], timeout=0.1 if self.interruptible else None)

    async def _run(self) -> None:
        while not self._stopping:
            # Cleared before the turn, or a wake that comes during the turn is lost.
            self._wake.clear()
            delay = await self._guarded_turn()
            if delay != 0 and not self._stopping:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), delay)

    async def _guarded_turn(self) -> float | None:
        try:
            delay = await self.turn()
        except StoreError as error:
            self._failures += 1
            if self._failures == 1:
                self.log.warning("store_lost", error=str(error))
            pause = min(0.1 * 2.0 ** min(self._failures, 10), self.longest_pause)
            return pause * (0.5 + self._random.random() / 2)
        except Exception:
            self.log.exception("service_failed")
            self._stopping = True
            self.failed.set()
            return 0
        if self._failures:
            self.log.info("store_found", failures=self._failures)
            self._failures = 0
        return delay
