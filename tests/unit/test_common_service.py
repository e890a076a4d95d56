"""The contract of every loop: start, stop, delays, wake-ups, a store that is away, and failure."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from rota.common.errors import StoreError, StoreUnavailable
from rota.common.service import Loop

FOREVER = 3_600.0

Turn = Callable[[], Awaitable[float | None]]


class Scripted(Loop):
    """A loop whose turns are written down; behind the last it waits for a wake."""

    def __init__(self, log: FilteringBoundLogger, *turns: Turn | float | Exception | None) -> None:
        super().__init__(log=log)
        self._turns = list(turns)
        self.taken = 0
        self.resting = asyncio.Event()  # set when the written turns are over

    async def turn(self) -> float | None:
        """Do what is written."""
        self.taken += 1
        if not self._turns:
            self.resting.set()
            return None
        turn = self._turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return await turn() if callable(turn) else turn


class Interruptible(Scripted):
    """A loop whose turn may be cancelled."""

    interruptible = True


class Gate:
    """A turn that begins, tells so, and goes on when it is let."""

    def __init__(self, delay: float | None = None) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended = False
        self._delay = delay

    async def __call__(self) -> float | None:
        """Wait until the gate is open."""
        self.begun.set()
        await self.open.wait()
        self.ended = True
        return self._delay


@pytest.fixture
def events() -> LogCapture:
    """Return what was logged."""
    return LogCapture()


@pytest.fixture
def log(events: LogCapture) -> FilteringBoundLogger:
    """Return a log that is kept."""
    log: FilteringBoundLogger = structlog.wrap_logger(
        None, processors=[events], wrapper_class=structlog.make_filtering_bound_logger(10)
    )
    return log


def logged(events: LogCapture) -> list[str]:
    """Return the names of the events that were logged."""
    return [entry["event"] for entry in events.entries]


async def test_turns_follow_each_other(log: FilteringBoundLogger) -> None:
    """A loop does one turn after the other until it is told to stop."""
    loop = Scripted(log, 0, 0, 0.001)
    await loop.start()
    await loop.resting.wait()
    await loop.stop()

    assert 4 == loop.taken
    assert not loop.failed.is_set()


async def test_start_twice(log: FilteringBoundLogger) -> None:
    """Starting twice is starting once."""
    gate = Gate()
    loop = Scripted(log, gate)
    await loop.start()
    await loop.start()
    await gate.begun.wait()
    gate.open.set()
    await loop.stop()

    assert 1 == loop.taken


async def test_stop_before_start(log: FilteringBoundLogger) -> None:
    """A loop that was stopped before its start never begins."""
    loop = Scripted(log, 0)
    await loop.stop()
    await loop.start()
    await loop.stop()

    assert 0 == loop.taken


async def test_stop_twice(log: FilteringBoundLogger) -> None:
    """Stopping twice, or from two places at once, is stopping once."""
    loop = Scripted(log, 0)
    await loop.start()
    await loop.resting.wait()
    await asyncio.gather(loop.stop(), loop.stop())
    await loop.stop()

    assert 2 == loop.taken


async def test_stop_waits_for_the_turn(log: FilteringBoundLogger) -> None:
    """A turn that is under way comes to its end before `stop` returns."""
    gate = Gate()
    loop = Scripted(log, gate)
    await loop.start()
    await gate.begun.wait()
    stopping = asyncio.create_task(loop.stop())
    await asyncio.sleep(0)
    early = stopping.done()
    gate.open.set()
    await stopping

    assert (False, True, 1) == (early, gate.ended, loop.taken)


async def test_stop_interrupts(log: FilteringBoundLogger) -> None:
    """A turn that only waits is cancelled by `stop`, where the loop allows that."""
    gate = Gate()
    loop = Interruptible(log, gate)
    await loop.start()
    await gate.begun.wait()
    await loop.stop()

    assert not gate.ended
    assert not loop.failed.is_set()


@pytest.mark.parametrize("delay", [FOREVER, None])
async def test_stop_ends_the_delay(log: FilteringBoundLogger, delay: float | None) -> None:
    """No delay keeps a loop from stopping."""
    loop = Scripted(log, delay)
    await loop.start()
    await asyncio.sleep(0)
    await loop.stop()

    assert 1 == loop.taken


@pytest.mark.parametrize("delay", [FOREVER, None])
async def test_wake_ends_the_delay(log: FilteringBoundLogger, delay: float | None) -> None:
    """A loop that is woken does its next turn at once."""
    loop = Scripted(log, delay)
    await loop.start()
    await asyncio.sleep(0)
    loop.wake()
    await loop.resting.wait()
    await loop.stop()

    assert 2 == loop.taken


@pytest.mark.parametrize("delay", [FOREVER, None])
async def test_wake_during_a_turn(log: FilteringBoundLogger, delay: float | None) -> None:
    """A wake that comes while a turn is under way is not lost."""
    gate = Gate(delay)
    loop = Scripted(log, gate)
    await loop.start()
    await gate.begun.wait()
    loop.wake()
    gate.open.set()
    await loop.resting.wait()
    await loop.stop()

    assert 2 == loop.taken


async def test_many_wakes_are_one(log: FilteringBoundLogger) -> None:
    """Several wakes during one turn lead to one more turn."""
    gate = Gate()
    loop = Scripted(log, gate, None)
    await loop.start()
    await gate.begun.wait()
    for _ in range(10):
        loop.wake()
    gate.open.set()
    for _ in range(20):
        await asyncio.sleep(0)
    await loop.stop()

    assert 2 == loop.taken


async def test_store_away(log: FilteringBoundLogger, events: LogCapture) -> None:
    """While the store is away the loop tries again, and says so once, and once when it is back."""
    gate = Gate()
    loop = Scripted(log, StoreUnavailable("away"), StoreError("refused"), gate, 0)
    await loop.start()
    while not gate.begun.is_set():
        loop.wake()  # ends the pause
        await asyncio.sleep(0)
    gate.open.set()
    loop.wake()
    await loop.resting.wait()
    await loop.stop()

    assert ["store_lost", "store_found"] == logged(events)
    assert ("away", "scripted") == (events.entries[0]["error"], events.entries[0]["service"])
    assert 2 == events.entries[1]["failures"]
    assert not loop.failed.is_set()


async def test_pauses_grow(log: FilteringBoundLogger) -> None:
    """The pauses between tries grow, up to five seconds, and no two loops keep step."""
    loop = Scripted(log, *(StoreUnavailable("away") for _ in range(12)), 0, StoreError("again"))
    pauses = [await loop._guarded_turn() for _ in range(14)]
    first, later, after = pauses[0], pauses[7:12], pauses[13]

    assert first is not None
    assert 0.1 <= first <= 0.2
    assert all(pause is not None and 2.5 <= pause <= 5 for pause in later)
    assert 5 == len(set(later))
    assert after is not None
    assert after <= 0.2


async def test_failure(log: FilteringBoundLogger, events: LogCapture) -> None:
    """Any other error ends the loop, is logged, and is seen by whoever built it."""
    loop = Scripted(log, ZeroDivisionError("bug"))
    await loop.start()
    await loop.failed.wait()
    await loop.stop()

    assert 1 == loop.taken
    assert ["service_failed"] == logged(events)


async def test_stop_at_any_time(log: FilteringBoundLogger) -> None:
    """Whenever loops are started, woken and stopped, each ends and none fails."""

    async def live(number: int) -> Scripted:
        kind = Interruptible if number % 2 else Scripted
        loop = kind(log, *[0] * number, 0.0001, FOREVER)
        await asyncio.gather(*(loop.start() for _ in range(3)))
        for _ in range(number):
            loop.wake()
            await asyncio.sleep(0)
        await asyncio.gather(*(loop.stop() for _ in range(3)))
        return loop

    loops = await asyncio.gather(*(live(number) for number in range(50)))

    assert not any(loop.failed.is_set() for loop in loops)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "Scripted"]
