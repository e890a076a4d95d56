"""The bell: an armed one waits for a token, and no token is lost between two workers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rota.common import keys
from rota.common.store import Store
from rota.worker.bell import Bell
from tests.support import builders, probe, workers
from tests.support.builders import GROUP, WORKER
from tests.support.logbook import Logbook


class Ear:
    """Hears one group's bell; `place` tells whether there is a place for what it announces."""

    def __init__(self, store: Store, *, place: bool = True, worker: str = WORKER) -> None:
        self.rung = 0
        self.place = place
        self.unheard: list[str] = []  # groups in which a token may have passed us by
        self.bell = Bell(
            GROUP,
            worker_id=worker,
            store=store,
            rung=self._rung,
            unheard=self.unheard.append,
            log=Logbook().log,
        )

    def _rung(self, group: str) -> bool:
        assert group == GROUP
        self.rung += 1
        return self.place


@asynccontextmanager
async def listening(store: Store, *, place: bool = True) -> AsyncIterator[Ear]:
    """Return an ear whose bell was started, and not yet armed."""
    ear = Ear(store, place=place)
    await ear.bell.start()
    try:
        yield ear
    finally:
        await ear.bell.stop()


async def tokens(store: Store) -> int:
    """Return how many wake tokens wait to be taken."""
    return int(await store.link.command("LLEN", keys.wake(GROUP)))


async def test_rings_for_new_work(store: Store) -> None:
    """An armed bell rings as soon as there is something to claim."""
    async with listening(store) as ear:
        ear.bell.arm()
        await workers.idle(store)
        await builders.enqueue(store, builders.occurrence())
        await probe.until(lambda: ear.rung == 1, workers.PROMPTLY)

        assert 0 == await tokens(store)


async def test_rings_once(store: Store) -> None:
    """A bell that has rung takes no further token before it is armed again."""
    async with listening(store) as ear:
        ear.bell.arm()
        await builders.enqueue(store, *workers.runs_of(3))
        await probe.until(lambda: ear.rung == 1)
        await workers.idle(store, 0)

        assert 2 == await tokens(store)


async def test_unarmed_bell_takes_nothing(store: Store) -> None:
    """A worker without a free place leaves the tokens to those that have one."""
    async with listening(store) as ear:
        await store.ring(GROUP)
        async with listening(store) as other:
            other.bell.arm()
            await probe.until(lambda: other.rung == 1)

        assert 0 == ear.rung


async def test_hands_on_what_it_has_no_place_for(store: Store) -> None:
    """A token that came when the last place was just taken goes to the next worker."""
    async with listening(store, place=False) as full:
        full.bell.arm()
        await workers.idle(store, 1)
        async with listening(store) as free:
            free.bell.arm()
            await workers.idle(store, 2)
            await store.ring(GROUP)  # goes to the one that has waited longest
            await probe.until(lambda: free.rung == 1, workers.PROMPTLY)

        assert 1 == full.rung


async def test_looks_without_a_token(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bell rings after the longest block even if no token came; it makes none up then."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.05)
    async with listening(store, place=False) as ear:
        ear.bell.arm()
        await probe.until(lambda: ear.rung == 1)

        assert 0 == await tokens(store)


async def test_goes_on_after_an_outage(url: str) -> None:
    """A bell whose store was away listens again by itself, without being armed again."""
    async with workers.proxied(url) as (proxy, store), listening(store) as ear:
        ear.bell.arm()
        await workers.idle(store)
        await proxy.cut()
        await asyncio.sleep(0)
        await proxy.mend()
        await store.ring(GROUP)
        await probe.until(lambda: ear.rung == 1)

        assert {GROUP} == set(ear.unheard)


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_stops_at_any_moment(store: Store, steps: int) -> None:
    """A bell stops at whatever moment it is told to, at once, and nobody listens any more."""
    ear = Ear(store)
    ear.bell.arm()
    await ear.bell.start()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(workers.PROMPTLY):
        await ear.bell.stop()
        await ear.bell.stop()
    await workers.idle(store, 0)

    assert not ear.bell.failed.is_set()
