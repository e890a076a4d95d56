"""A group follows a change while its lead comes and goes, and while the store is away."""

import asyncio
from collections.abc import Sequence

import pytest

from rota.common.catalog import Catalog, Slot
from rota.common.errors import StoreUnavailable
from rota.common.store import Store
from rota.scheduler import applied, led_group
from rota.scheduler.applied import Applied
from tests.support import builders
from tests.support.definitions import config, job
from tests.support.led import Rig
from tests.support.schedulers import RARE

NOW_MS = 4_000_000_000_000
OLD = [job(f"t{n:02}/x", every=RARE) for n in range(20)]
NEW = [job(f"t{n:02}/x", every="1h") for n in range(10, 30)]


def changed() -> tuple[Applied, Applied]:
    """Return a configuration and one that follows it: all jobs of the two differ."""
    before = applied.first(config(*OLD), NOW_MS - 1_000)
    return before, before.followed_by(config(*NEW), NOW_MS)


class Slots:
    """Reads slots as the catalog does; what is to happen happens with the third read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.fails = False
        self.here = asyncio.Event()
        self.go_on = asyncio.Event()
        self._read = Catalog.slots
        monkeypatch.setattr(led_group, "_CHUNK", 2)
        here = self

        async def slots(catalog: Catalog, group: str, refs: Sequence[str]) -> list[Slot]:
            if refs:  # the auditor reads, too, and awaits nothing
                await here.pass_by()
            return await here._read(catalog, group, refs)

        monkeypatch.setattr(Catalog, "slots", slots)

    async def pass_by(self) -> None:
        """Wait, or fail, with the third read."""
        self.reads += 1
        if self.reads == 3:
            self.here.set()
            if self.fails:
                raise StoreUnavailable("away")
            await self.go_on.wait()


@pytest.fixture
def rig(store: Store, runner: asyncio.Runner) -> Rig:
    """Return a group that is not led yet."""
    return Rig(store, builders.Clock(NOW_MS))


async def test_lead_is_lost_meanwhile(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who loses the lead in the middle of a change fires nothing; who gets it again, all of it."""
    before, after = changed()
    await rig.follow(before)
    await rig.led.begin()
    slots = Slots(monkeypatch)
    following = asyncio.create_task(rig.follow(after))
    await slots.here.wait()
    await rig.led.end()
    slots.go_on.set()
    await following
    between = [ref for job in (*OLD, *NEW) for ref in [job.ref] if rig.engine.next_ms(ref)]
    await rig.led.begin()
    due = rig.due()
    await rig.close()

    assert [] == between
    assert {each.ref for each in NEW} == set(due)
    assert all(due.values())


async def test_lead_comes_meanwhile(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets the lead in the middle of a change has the new jobs in the end, each once."""
    before, after = changed()
    await rig.follow(before)
    slots = Slots(monkeypatch)
    slots.reads = 2  # the next one waits
    beginning = asyncio.create_task(rig.led.begin())
    await slots.here.wait()
    following = asyncio.create_task(rig.follow(after))
    await asyncio.sleep(0)
    slots.go_on.set()
    await asyncio.gather(beginning, following)
    due = rig.due()
    await rig.close()

    assert {each.ref for each in NEW} == set(due)
    assert [] == [each.ref for each in OLD[:10] if rig.engine.next_ms(each.ref)]


async def test_store_is_away_meanwhile(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that stopped because the store was away goes on where it was."""
    before, after = changed()
    await rig.follow(before)
    await rig.led.begin()
    slots = Slots(monkeypatch)
    slots.fails = True
    with pytest.raises(StoreUnavailable):
        await rig.follow(after)
    await rig.follow(after)
    due = rig.due()
    reads = slots.reads
    await rig.close()

    assert {each.ref for each in NEW} == set(due)
    assert 3 + 8 == reads  # two chunks of ten were done, and are not done again
