"""Callers whose store fails over or loses writes: each call ends in its reply or a clear error."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from rota.client import CallLost, CallTimeout, Client
from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.link import Link
from rota.common.store import Store
from tests.support import backup, probe
from tests.support.builders import GROUP, Clock
from tests.support.schedulers import GATE_MS
from tests.support.serving import begun, serving
from tests.support.topologies import Sentinels

TIMEOUT = 45.0  # seconds; a failover takes some five, its gate ten
CLOCK = SystemClock()


@pytest.fixture
def doomed() -> Iterator[Sentinels]:
    """Return a master that sentinels manage, for a test that makes it fail."""
    with Sentinels() as started:
        yield started


async def roll_back(store: Store, saved: backup.Backup) -> None:
    """Make the store what it was, as a replica does that is promoted without the last writes."""
    restored = [("RESTORE", name, ms, value) for name, ms, value in saved]
    change = ("HSET", keys.root(GROUP), "server", "0" * 40)
    await store.link.pipeline([("MULTI",), ("FLUSHALL",), *restored, change, ("EXEC",)])


async def test_lost_writes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker holds when the store loses it is replied to; a call that is gone is said so."""
    monkeypatch.setenv("ROTA_LEASE", "2s")  # for a short gate
    clock, store = Clock(), Store(Link(url, gate_ms=GATE_MS))
    options = {"concurrency": 2, "lease_ms": 900, "gate_ms": GATE_MS}
    async with serving(url, **options) as service, Client(url, group=GROUP, clock=clock) as client:
        await store.sweep(GROUP)
        saved = await backup.take(store.link)
        calls = [
            asyncio.create_task(client.call("orders.wait", tenant="acme", n=n)) for n in range(4)
        ]
        await begun(service, 2)
        await roll_back(store, saved)

        async def told() -> bool:
            clock.advance(11.0)  # after which it asks for what has not come
            return sum(call.done() for call in calls) == 2

        await probe.found(told)
        service.free.set()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        again = await client.call("orders.wait", tenant="acme", n=5)
        await store.link.close()

    assert {0, 1} == {end for end in ends if isinstance(end, int)}
    assert [CallLost] * 2 == [type(end) for end in ends if not isinstance(end, int)]
    assert (5, 3) == (again, len(service.begun))


@pytest.mark.long
@pytest.mark.parametrize("fault", ["killed", "frozen", "told to"])
async def test_failover(doomed: Sentinels, fault: str) -> None:
    """When the master is replaced, each call ends in time, by its own reply or a clear error."""
    old, count = await doomed.master(), 300
    options = {"concurrency": 100}
    async with serving(doomed.url, **options) as service, Client(doomed.url, group=GROUP) as client:
        began = CLOCK.monotonic()

        async def call(n: int) -> Any:
            return await client.call("orders.wait", tenant="acme", n=n, timeout=TIMEOUT)

        calls = [asyncio.create_task(call(n)) for n in range(count)]
        await begun(service, 100)
        if fault == "killed":
            old.kill()
        elif fault == "frozen":
            await doomed.freeze(old)
        else:
            await doomed.fail_over()
        calls += [asyncio.create_task(call(n)) for n in range(count, count + 50)]
        if fault != "told to":
            await doomed.replaced(old)
        service.free.set()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        took = CLOCK.monotonic() - began
        again = await client.call("orders.wait", tenant="acme", n=-1, timeout=TIMEOUT)
    told = Counter(type(end).__name__ for end in ends)
    print(f"{fault}: {dict(told)} in {took:.1f} s")

    assert -1 == again
    assert took < TIMEOUT + 2
    assert all(isinstance(end, (int, CallLost, CallTimeout)) for end in ends), told
    assert all(n == end for n, end in enumerate(ends) if isinstance(end, int))
    assert 100 < told["int"]
