"""A handler that holds up the event loop is told of, and not only what comes of it."""

import time

from rota.common.store import Store
from rota.worker import Context
from rota.worker.stall import Stall
from tests.support import builders, probe, workers
from tests.support.bench import bench, serving
from tests.support.builders import Clock
from tests.support.logbook import Logbook


class Rig:
    """A watch whose turns the test makes, and what it logged."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.book = Logbook()
        self.stall = Stall(clock=self.clock, log=self.book.log)

    async def turn(self, late: float = 0.0) -> list[list[str]]:
        """Make the next turn, so many seconds late; return the job_ids of all that was logged."""
        pause = await self.stall.turn()
        self.clock.advance(pause + late)
        await self.stall.turn()
        return [entry["job_ids"] for entry in self.book.events("loop_blocked")]


async def test_in_time() -> None:
    """A turn that comes a second late, or less, is no reason to complain."""
    rig = Rig()

    assert [] == await rig.turn(late=0.0)
    assert [] == await rig.turn(late=1.0)


async def test_too_late() -> None:
    """A turn that comes later is a warning that says how late it was."""
    rig = Rig()
    with rig.stall.handling("acme/import:1"):
        told = await rig.turn(late=2.5)
    (entry,) = rig.book.events("loop_blocked")

    assert [["acme/import:1"]] == told
    assert (2.5, "warning") == (entry["seconds"], entry["log_level"])


async def test_each_delay_once() -> None:
    """After a late turn the next one is expected anew."""
    rig = Rig()
    await rig.turn(late=3.0)

    assert 1 == len(await rig.turn())


async def test_a_wake_is_no_delay() -> None:
    """A turn that comes early says nothing of the next."""
    rig = Rig()
    await rig.stall.turn()
    await rig.stall.turn()

    assert [] == await rig.turn()


async def test_who_has_ended_meanwhile() -> None:
    """Who blocks and ends with it is named, too; who had ended before is not."""
    rig = Rig()
    with rig.stall.handling("acme/before:1"):
        pass
    await rig.turn()
    with rig.stall.handling("acme/short:1"), rig.stall.handling("acme/long:1"):
        pass

    assert [["acme/long:1", "acme/short:1"]] == await late(rig)


async def late(rig: Rig) -> list[list[str]]:
    """Let the turn that is due come late; return the job_ids of all that was logged."""
    rig.clock.advance(10)
    await rig.stall.turn()
    return [entry["job_ids"] for entry in rig.book.events("loop_blocked")]


async def test_not_more_than_five() -> None:
    """Of many handlers five are named, and how many there were."""
    rig = Rig()
    await rig.stall.turn()
    for number in range(8):
        with rig.stall.handling(f"acme/import:{number}"):
            pass
    (names,) = await late(rig)
    (entry,) = rig.book.events("loop_blocked")

    assert 5 == len(set(names))
    assert 8 == entry["handlers"]


async def test_a_handler_that_blocks() -> None:
    """A handler that blocks is named by the runner, though its run is over when the turn comes."""
    rig = Rig()

    async def block(ctx: Context) -> None:
        rig.clock.advance(3)

    await rig.stall.turn()
    async with bench(serving(block), stall=rig.stall) as table:
        await table.report(workers.request())
    await rig.stall.turn()
    (entry,) = rig.book.events("loop_blocked")

    assert (["acme/import:20270115T080000Z"], 2.5) == (entry["job_ids"], entry["seconds"])


async def test_a_thread_that_blocks() -> None:
    """A handler in a thread may block: neither does the loop stand still, nor is it suspected."""
    rig = Rig()

    def block(ctx: Context) -> None:
        time.sleep(0.01)

    await rig.stall.turn()
    async with bench(serving(block), stall=rig.stall) as table:
        await table.report(workers.request())

    assert [[]] == await late(rig)


async def test_a_worker_watches(url: str, store: Store) -> None:
    """A worker tells of a handler that holds up its loop."""
    book = Logbook()

    async def block(ctx: Context) -> None:
        time.sleep(1.8)  # noqa: ASYNC251 - what a handler should not do

    run = workers.run_of()
    async with workers.working(url, serving(block), log=book.log):
        await builders.enqueue(store, run)
        await probe.until(lambda: book.events("loop_blocked"))
        (entry,) = book.events("loop_blocked")

    assert [run.job_id] == entry["job_ids"]
