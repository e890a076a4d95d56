"""`rota.single`: scheduler, worker and callers in one process, and what that leaves alone."""

import asyncio
import logging
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from rota.client import CallFailed
from rota.common.embedded import EmbeddedStore
from rota.common.errors import StoreUnavailable, UsageError
from rota.common.ledger import Attempts, Ledger
from rota.common.store import Store
from rota.scheduler.daemon import SchedulerDaemon
from rota.single import Single
from rota.worker import Context, Jobs
from tests.support import probe, prometheus, workers
from tests.support.logbook import Logbook

NEVER = "366d"


class Shop:
    """Handlers that keep what they did."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.seen: list[str] = []
        self.go = asyncio.Event()
        self.jobs.handler("orders.import")(self.import_orders)
        self.jobs.handler("orders.wait")(self.wait)

    def import_orders(self, ctx: Context, source: str = "ftp") -> dict[str, str]:
        """Tell what it was called with."""
        self.seen.append(ctx.job)
        return {"source": source, "thread": threading.current_thread().name}

    async def wait(self, ctx: Context) -> str:
        """End when the test says so."""
        self.seen.append("begun")
        await self.go.wait()
        self.seen.append("ended")
        return "waited"


def config(handler: str = "orders.import", every: str = "100ms") -> dict[str, Any]:
    """Return the configuration of one tenant with one job."""
    jobs = {"import": {"handler": handler, "every": every}}
    return {"groups": {"gold": {}}, "tenants": {"acme": {"group": "gold", "jobs": jobs}}}


async def test_all_in_one(url: str) -> None:
    """One process schedules, executes and calls; what it needs is there when it is entered."""
    shop = Shop()
    async with Single(config(), shop.jobs, url=url) as rota:
        await probe.until(lambda: shop.seen.count("import") >= 2)
        answer = await rota.client.call("orders.import", tenant="acme", source="api")
        await probe.until(lambda: not rota.unready())
        numbers = prometheus.read(f"{rota.metrics()}\n")

    assert "api" == answer["source"]
    assert 1 == numbers["rota_ready"].value()
    assert {"rota_jobs", "rota_slots"} <= numbers.keys()
    assert 1 == len(asyncio.all_tasks())  # ours


async def test_it_ends_in_order(url: str, store: Store) -> None:
    """What runs may finish when it stops, and the scheduler hears of it before it stops, too."""
    shop = Shop()
    rota = Single(config("orders.wait", every="1s"), shop.jobs, url=url)
    await rota.start()
    await probe.until(lambda: shop.seen)
    stopping = asyncio.create_task(rota.stop())
    await probe.until(lambda: rota._worker._courier.draining)
    shop.go.set()
    await stopping
    await rota.stop()

    assert ["begun", "ended"] == shop.seen
    assert 1 == await store.link.command("LLEN", "rota:{gold}:l:acme/import")


async def test_two_in_one_process() -> None:
    """Two in one process, with stores of their own, know nothing of each other."""
    shops = Shop(), Shop()
    never = config(every=NEVER)
    async with (
        Single(config(), shops[0].jobs, embedded=True) as one,
        Single(never, shops[1].jobs, embedded=True) as other,
    ):
        await probe.until(lambda: shops[0].seen)
        assert one.url != other.url
        await other.client.call("orders.import", tenant="acme")

    assert 1 == len(shops[1].seen)


async def test_two_of_one_store(url: str) -> None:
    """Two of the same store share its groups, as schedulers and workers of two processes do."""
    shops = Shop(), Shop()
    async with (
        Single(config(), shops[0].jobs, url=url, concurrency=1) as one,
        Single(config(), shops[1].jobs, url=url, concurrency=1) as other,
    ):
        leaders = [*one._scheduler._leaders.values(), *other._scheduler._leaders.values()]
        await probe.until(lambda: 1 == sum(leader.term > 0 for leader in leaders))
        await probe.until(lambda: sum(len(shop.seen) for shop in shops) >= 3)


async def test_the_process_is_left_alone(url: str) -> None:
    """Signals, logging and the event loop's handlers stay those of the host."""
    signals = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    before = [signal.getsignal(number) for number in signals]
    handlers, level = list(logging.root.handlers), logging.root.level
    async with Single(config(), Shop().jobs, url=url):
        during = [signal.getsignal(number) for number in signals]

    assert before == during == [signal.getsignal(number) for number in signals]
    assert (handlers, level) == (logging.root.handlers, logging.root.level)


async def test_errors_reach_the_caller(url: str) -> None:
    """A call of a handler that fails raises what the handler raised, by name."""
    async with Single(config(every=NEVER), Shop().jobs, url=url) as rota:
        with pytest.raises(CallFailed, match="unknown argument"):
            await rota.client.call("orders.import", tenant="acme", sourc="api")


async def test_files_are_read_again(url: str, tmp_path: Path) -> None:
    """A configuration in a file is read again when it is asked to be."""
    path = tmp_path / "rota.yaml"
    text = (
        "groups: {gold: {}}\ntenants:\n"
        "  acme: {group: gold, jobs: {NAME: {handler: orders.import, every: 100ms}}}\n"
    )
    path.write_text(text.replace("NAME", "first"))
    shop = Shop()
    async with Single(path, shop.jobs, url=url) as rota:
        await probe.until(lambda: "first" in shop.seen)
        path.write_text(text.replace("NAME", "second"))
        rota.reload()
        await probe.until(lambda: "second" in shop.seen)


async def test_a_store_that_is_away() -> None:
    """Without its store it does not start, and leaves nothing behind; not even its threads."""
    away = EmbeddedStore()
    threads = threading.active_count()
    with pytest.raises(StoreUnavailable):
        await Single(config(), Shop().jobs, url=away.url).start()

    assert 1 == len(asyncio.all_tasks())  # ours
    assert threads == threading.active_count()


async def test_child_processes_need_a_module(url: str) -> None:
    """Handlers in child processes run if their module is named, and are refused if it is not."""
    jobs = Jobs()
    jobs.handler("orders.child", isolation="process")(Shop().import_orders)
    with pytest.raises(UsageError, match=r"orders\.child: child processes import"):
        Single(config(), jobs, url=url)
    async with Single(config(every=NEVER), "tests.support.child_app", url=url) as rota:
        answer = await rota.client.call("pid", tenant="acme")

    assert answer


def test_what_can_not_be() -> None:
    """Two stores, and a text that is to be watched, are refused."""
    with pytest.raises(UsageError, match="or have one `embedded`"):
        Single(config(), Shop().jobs, url="redis://x", embedded=True)
    with pytest.raises(UsageError, match="is no file"):
        Single(config(), Shop().jobs, embedded=True, watch=True)


async def test_from_one_to_many(url: str, store: Store) -> None:
    """A scheduler and a worker of their own go on where the one process stops; nothing changes."""
    shop = Shop()
    other = Shop()
    async with Single(config(), shop.jobs, url=url):
        await probe.until(lambda: shop.seen)
        async with workers.working(url, other.jobs):
            daemon = SchedulerDaemon(url, log=Logbook().log)
            await daemon.start()
            await probe.until(lambda: other.seen)
    async with workers.working(url, other.jobs):
        before = len(other.seen)
        await probe.until(lambda: len(other.seen) > before + 2)
    await daemon.stop()

    entries = await Ledger(store.link).of("gold", "acme/import", 0)
    ends = [(entry.job_id, entry.attempts) for entry in entries if isinstance(entry, Attempts)]

    assert len(ends) == len({job_id for job_id, _ in ends}) > 3
    assert {1} == {attempts for _, attempts in ends}
