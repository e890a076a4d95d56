"""A run whose completion nobody heard is found over, and its job goes on."""

import pytest

from rota.common.catalog import Catalog
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler.auditor import Auditor
from rota.scheduler.awaited import Awaited
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, Clock
from tests.support.logbook import Logbook

REF = "acme/import"
LONG = 31.0  # seconds after which an awaited run is looked at


class Rig:
    """An auditor and all it works on; its clock stands still."""

    def __init__(self, store: Store) -> None:
        self.clock = Clock()
        self.awaited = Awaited()
        self.finished: list[tuple[str, int]] = []
        self.book = Logbook()
        self.auditor = Auditor(
            catalog=Catalog(store.link),
            awaited=self.awaited,
            finished=lambda ref, at_ms: self.finished.append((ref, at_ms)),
            clock=self.clock,
            log=self.book.log,
        )

    def awaits(self, job_id: str, ref: str = REF, group: str = GROUP) -> None:
        """Let a run be awaited from now on."""
        self.awaited.add(group, ref, job_id, self.clock.monotonic())


@pytest.fixture
def rig(store: Store) -> Rig:
    """Return an auditor on an empty store."""
    return Rig(store)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.DEAD])
async def test_missed_completion(rig: Rig, store: Store, state: State) -> None:
    """A run that is over is awaited no longer; its job hears when it ended, and the log says so."""
    seeded = await builders.seed(store, state)
    (slot,) = await Catalog(store.link).slots(GROUP, [REF])
    rig.awaits(seeded.run.job_id)
    rig.clock.advance(LONG)
    await rig.auditor.turn()
    await rig.auditor.turn()

    assert [(REF, slot.ended_ms)] == rig.finished
    assert 0 == len(rig.awaited)
    assert [seeded.run.job_id] == [e["job_id"] for e in rig.book.events("completion_missed")]


@pytest.mark.parametrize("state", [State.QUEUED, State.HELD, State.RUNNING, State.RETRYING])
async def test_run_under_way(rig: Rig, store: Store, state: State) -> None:
    """A run that is not over is awaited on, however long it takes."""
    seeded = await builders.seed(store, state)
    rig.awaits(seeded.run.job_id)
    rig.clock.advance(100 * LONG)
    await rig.auditor.turn()

    assert [] == rig.finished
    assert seeded.run.job_id == rig.awaited.job_id(REF)
    assert [] == rig.book.complaints()


async def test_young_run(rig: Rig, store: Store) -> None:
    """A run that was sent just now is left alone: its completion may be on its way."""
    seeded = await builders.seed(store, State.SUCCEEDED)
    rig.awaits(seeded.run.job_id)
    rig.clock.advance(1)
    await rig.auditor.turn()

    assert [] == rig.finished
    assert seeded.run.job_id == rig.awaited.job_id(REF)


async def test_store_that_lost_its_data(rig: Rig) -> None:
    """A run that the store has never heard of is over, as of now."""
    rig.awaits("acme/import:20270115T080000Z")
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert [(REF, DUE_MS + round(LONG * 1000))] == rig.finished


async def test_other_run_in_flight(rig: Rig, store: Store) -> None:
    """Where another run of the job is in flight, the awaited one is over."""
    await builders.seed(store, State.RUNNING)
    rig.awaits("acme/import:20200101T000000Z")
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert [REF] == [ref for ref, _ in rig.finished]


async def test_each_run_on_its_own(rig: Rig, store: Store) -> None:
    """Of runs in several groups just those that are over are found."""
    over = await builders.seed(store, State.SUCCEEDED, job="over")
    runs = await builders.seed(store, State.RUNNING, group="silver", job="runs")
    dead = await builders.seed(store, State.DEAD, group="silver", job="dead")
    rig.awaits(over.run.job_id, "acme/over")
    rig.awaits(runs.run.job_id, "acme/runs", "silver")
    rig.awaits(dead.run.job_id, "acme/dead", "silver")
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert ["acme/dead", "acme/over"] == sorted(ref for ref, _ in rig.finished)
    assert runs.run.job_id == rig.awaited.job_id("acme/runs")
