"""Ready means that work passes through, not that a connection is open; live asks no store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from rota.common.catalog import Catalog
from rota.common.embedded import EmbeddedStore
from rota.common.health import Health
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler.daemon import SchedulerDaemon
from rota.worker.bell import Bell
from rota.worker.registrar import Registrar
from tests.support import builders, probe, workers
from tests.support.builders import GROUP
from tests.support.definitions import config
from tests.support.gate import Gate
from tests.support.http import get
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy

SOON = 0.8  # seconds in place of the ten after which silence counts


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody wait for a shorter time."""
    monkeypatch.setattr("rota.worker.courier._DEAF", SOON)
    monkeypatch.setattr("rota.scheduler.leader._SILENT", SOON)
    monkeypatch.setattr("rota.scheduler.leader.TTL", 1.2)
    monkeypatch.setattr("rota.common.link.server.REPLY_TIMEOUT", 0.3)
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.2)


class Pages:
    """What a daemon says about itself."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def reason(self) -> str:
        """Return why it is not ready; empty if it is. It is live in any case."""
        assert (200, "ok") == await get(self._port, "/livez")
        status, text = await get(self._port, "/readyz")
        assert (status == 200) == (text == "ok")
        return "" if status == 200 else text

    async def become(self, word: str = "") -> str:
        """Return the reason as soon as it has `word`; or when it is ready, without one."""

        async def found() -> list[str]:
            reason = await self.reason()
            return [reason] if (word in reason if word else not reason) else []

        return (await probe.found(found))[0]


@asynccontextmanager
async def pages(unready: Callable[[], str]) -> AsyncIterator[Pages]:
    """Return the pages of a daemon."""
    health = Health("127.0.0.1:0", unready=unready, log=Logbook().log)
    await health.start()
    try:
        yield Pages(health.port)
    finally:
        await health.stop()


async def test_idle_worker(url: str) -> None:
    """A worker without work stays ready for as long as its claims are answered."""
    async with workers.working(url, Gate().jobs) as worker, pages(worker.unready) as page:
        await page.become()
        for _ in range(20):
            await asyncio.sleep(SOON / 8)

            assert "" == await page.reason()


async def test_full_worker(url: str, store: Store) -> None:
    """A worker without a free place is ready, and still is when the places are free again."""
    gate = Gate()
    await builders.enqueue(store, workers.run_of())
    async with (
        workers.working(url, gate.jobs, concurrency=1) as worker,
        pages(worker.unready) as page,
    ):
        await gate.begins()
        await asyncio.sleep(1.5 * SOON)
        assert "" == await page.reason()
        gate.open.set()
        await workers.told(store, 1)

        assert "" == await page.reason()


async def test_worker_without_groups(url: str, store: Store) -> None:
    """A worker that serves no group is not ready; it is as soon as a group is known."""
    async with (
        workers.working(url, Gate().jobs, groups=[]) as worker,
        pages(worker.unready) as page,
    ):
        assert "it serves no group yet" == await page.reason()
        await Catalog(store.link).publish(GROUP, [])
        await page.become()


@pytest.mark.parametrize("half_open", [False, True])
async def test_worker_that_is_cut_off(url: str, half_open: bool) -> None:
    """A worker that is cut off from its store becomes unready, and ready again by itself."""
    async with (
        Proxy(url) as proxy,
        workers.working(proxy.url, Gate().jobs) as worker,
        pages(worker.unready) as page,
    ):
        await page.become()
        if half_open:
            proxy.swallow()
        else:
            await proxy.cut()

        assert f"no claim was answered for {SOON} s in {GROUP}" in await page.become("deaf")
        if half_open:
            proxy.swallow(False)
        else:
            await proxy.mend()
        await page.become()


async def test_deaf_worker(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose wake-up call never returns is unready, though all else is answered."""
    heard = asyncio.Event()

    async def deaf(bell: Bell) -> float:
        await heard.wait()
        return 0

    async with workers.working(url, Gate().jobs, groups=[GROUP]) as worker:
        await workers.idle(store)
        async with pages(worker.unready) as page:
            assert "" == await page.reason()
            monkeypatch.setattr(Bell, "turn", deaf)
            await page.become("deaf")
            heard.set()
            monkeypatch.undo()
            monkeypatch.setattr("rota.worker.courier._DEAF", SOON)
            await page.become()


async def test_one_group_is_enough(url: str, store: Store) -> None:
    """A worker that is deaf in one of its groups alone is unready, and names that group."""
    async with workers.working(url, Gate().jobs, groups=[GROUP, "lead"]) as worker:
        await workers.idle(store, 2)
        await worker._courier._bells["lead"].stop()
        async with pages(worker.unready) as page:
            assert (await page.become("deaf")).endswith("in lead")


async def test_renewals_fail(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that holds runs and can't renew them is unready, full as it is."""
    gate = Gate()

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    await builders.enqueue(store, workers.run_of())
    async with workers.working(url, gate.jobs, concurrency=1, lease_ms=900, grace=0.1) as worker:
        await gate.begins()
        monkeypatch.setattr(Store, "renew", never)
        # A run that is given up leaves a free place; what does not heed that is still held.
        monkeypatch.setattr(worker._renewer, "_lose", lambda held: None)
        async with pages(worker.unready) as page:
            assert "no lease was renewed for" in await page.become("renewed")


async def test_failed_part(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker of which a part has failed is unready."""

    async def broken(_: object) -> float:
        raise ZeroDivisionError

    monkeypatch.setattr(Registrar, "turn", broken)
    async with workers.working(url, Gate().jobs) as worker, pages(worker.unready) as page:
        assert "a part has failed" == await page.become("failed")


async def test_draining_worker(url: str, store: Store) -> None:
    """A worker that stops is unready while it finishes what runs."""
    gate = Gate()
    await builders.enqueue(store, workers.run_of())
    async with workers.working(url, gate.jobs) as worker, pages(worker.unready) as page:
        await gate.begins()
        stopping = asyncio.create_task(worker.stop())
        await page.become("draining")
        gate.open.set()
        await stopping


async def test_worker_without_store() -> None:
    """While the store is stopped a worker is live and not ready; afterwards it is ready again."""
    with EmbeddedStore() as server:
        store = Store(Link(server.url))
        async with (
            workers.working(server.url, Gate().jobs) as worker,
            pages(worker.unready) as page,
        ):
            await workers.idle(store)
            server.stop()
            await page.become("deaf")
            server.start()
            await page.become()
        await store.link.close()


async def test_scheduler(url: str) -> None:
    """A scheduler that hears nothing of its store is live and not ready, until it does again."""
    async with Proxy(url) as proxy:
        daemon = SchedulerDaemon(proxy.url, config(groups=(GROUP,)), log=Logbook().log)
        await daemon.start()
        try:
            async with pages(daemon.unready) as page:
                await asyncio.sleep(1.5 * SOON)
                assert "" == await page.reason()
                await proxy.cut()
                reason = await page.become("no answer from the store")
                await proxy.mend()
                await page.become()
        finally:
            await daemon.stop()

    assert reason.startswith(f"group {GROUP}: ")
