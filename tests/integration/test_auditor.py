"""A run whose completion nobody heard is found over, one that got lost is sent again."""

import pytest

from rota.common.catalog import Catalog
from rota.common.job import job_id
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler.auditor import Auditor
from rota.scheduler.awaited import Awaited, InFlight
from tests.support import builders
from tests.support.builders import BESIDE, DUE_MS, GROUP, HOUR_MS, Clock
from tests.support.definitions import job
from tests.support.logbook import Logbook

REF = "acme/import"
LONG = 31.0  # seconds after which an awaited run is looked at


class Rig:
    """The auditor of a group and all it works on; its clock stands still."""

    def __init__(self, store: Store, group: str = GROUP) -> None:
        self.clock = Clock()
        self.awaited = Awaited()
        self.finished: list[tuple[str, int]] = []
        self.again: list[tuple[str, int]] = []
        self.lost: list[str] = []
        self.book = Logbook()
        self._group = group
        self.auditor = Auditor(
            group,
            catalog=Catalog(store.link),
            awaited=self.awaited,
            finished=lambda ref, run_id, at_ms: self.finished.append((ref, at_ms)),
            again=lambda each, due_ms: self.again.append((each.ref, due_ms)),
            lost=lambda each, run_id, due_ms: self.lost.append(run_id),
            look_back=self.look_back,
            clock=self.clock,
            log=self.book.log,
        )

    async def look_back(self) -> None:
        """Look for nothing else."""

    def awaits(
        self, run_id: str, ref: str = REF, due_ms: int = DUE_MS, group: str | None = None
    ) -> None:
        """Let a run be awaited from now on."""
        each = job(ref, every="1h", group=group or self._group)
        self.awaited.add(InFlight(each, run_id, due_ms, self.clock.monotonic()))


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
    """A run that the store has never heard of is sent again, once, as what it was."""
    rig.awaits(job_id(REF, DUE_MS))
    rig.clock.advance(LONG)
    await rig.auditor.turn()
    await rig.auditor.turn()

    assert [(REF, DUE_MS)] == rig.again
    assert [] == rig.finished
    assert 0 == len(rig.awaited)
    assert [job_id(REF, DUE_MS)] == [e["job_id"] for e in rig.book.events("run_enqueued_again")]


async def test_store_that_lost_its_last_writes(rig: Rig, store: Store) -> None:
    """A run is sent again if the store remembers no more than the run before it."""
    await builders.seed(store, State.SUCCEEDED)
    rig.awaits(job_id(REF, DUE_MS + HOUR_MS), due_ms=DUE_MS + HOUR_MS)
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert [(REF, DUE_MS + HOUR_MS)] == rig.again
    assert [] == rig.finished


async def test_lost_triggered_run(rig: Rig) -> None:
    """A run that stands for no occurrence is over when the store has lost it: its job goes on."""
    rig.awaits(job_id(REF, DUE_MS, manual=True), due_ms=0)
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert [(REF, DUE_MS + round(LONG * 1000))] == rig.finished
    assert [] == rig.again


@pytest.mark.parametrize("age", [0.0, LONG])
async def test_reopened_store(rig: Rig, age: float) -> None:
    """When a gate has closed even young runs are looked at; before, not even old ones."""
    rig.awaits(job_id(REF, DUE_MS))
    rig.clock.advance(age)
    rig.auditor.reopened(10.0)
    rig.clock.advance(9.5)
    pause = await rig.auditor.turn()
    before = list(rig.again)
    rig.clock.advance(pause)
    await rig.auditor.turn()

    assert 0.5 == pytest.approx(pause)
    assert [] == before
    assert [(REF, DUE_MS)] == rig.again


async def test_other_run_in_flight(rig: Rig, store: Store) -> None:
    """Where another, later run of the job is in flight, that one is awaited; ours is over."""
    later = await builders.seed(store, State.RUNNING)
    rig.awaits(job_id(REF, DUE_MS - HOUR_MS), due_ms=DUE_MS - HOUR_MS)
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert later.run.job_id == rig.awaited.job_id(REF)
    assert [(REF, DUE_MS + round(LONG * 1000))] == rig.finished
    assert [] == rig.again


async def test_lost_run_waits_for_another(rig: Rig, store: Store) -> None:
    """A lost run whose job is busy with an earlier one is sent again when that is over."""
    earlier = await builders.seed(store, State.RUNNING)
    rig.awaits(job_id(REF, DUE_MS + HOUR_MS), due_ms=DUE_MS + HOUR_MS)
    rig.clock.advance(LONG)
    await rig.auditor.turn()
    meanwhile = list(rig.again)
    await builders.complete(store, earlier.run)
    await rig.auditor.turn()

    assert [] == meanwhile
    assert [(REF, DUE_MS + HOUR_MS)] == rig.again
    assert [] == rig.finished


async def test_each_run_on_its_own(rig: Rig, store: Store) -> None:
    """Of several runs just those that are over are found; those of other groups are not ours."""
    over = await builders.seed(store, State.SUCCEEDED, job="over")
    runs = await builders.seed(store, State.RUNNING, job="runs")
    dead = await builders.seed(store, State.DEAD, job="dead")
    other = await builders.seed(store, State.DEAD, group="silver", job="other")
    rig.awaits(over.run.job_id, "acme/over")
    rig.awaits(runs.run.job_id, "acme/runs")
    rig.awaits(dead.run.job_id, "acme/dead")
    rig.awaits(other.run.job_id, "acme/other", group="silver")
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert ["acme/dead", "acme/over"] == sorted(ref for ref, _ in rig.finished)
    assert runs.run.job_id == rig.awaited.job_id("acme/runs")
    assert other.run.job_id == rig.awaited.job_id("acme/other")


async def test_runs_beside_each_other(rig: Rig, store: Store) -> None:
    """Of several runs of one job each is judged by its own record, not by the job's slot."""
    await builders.register(store)
    runs = [builders.occurrence("acme", BESIDE, DUE_MS + n) for n in range(3)]
    await builders.enqueue(store, *runs)
    (first,) = (await builders.claim(store)).runs
    await builders.complete(store, first)
    each = job(f"acme/{BESIDE}", every="1h", overlap="allow")
    for run in runs:
        rig.awaited.add(InFlight(each, run.job_id, run.due_ms, rig.clock.monotonic()))
    rig.clock.advance(LONG)
    await rig.auditor.turn()

    assert [each.ref] == [ref for ref, _ in rig.finished]
    assert 2 == len(rig.awaited)
    assert [] == rig.again + rig.lost


async def test_runs_lost_beside_each_other(rig: Rig, store: Store) -> None:
    """What the store has lost of several runs is sent again, or noted if its cursor is beyond."""
    await builders.register(store)
    runs = [builders.occurrence("acme", BESIDE, DUE_MS + n) for n in range(3)]
    await builders.enqueue(store, runs[1])
    each = job(f"acme/{BESIDE}", every="1h", overlap="allow")
    for run in runs:
        rig.awaited.add(InFlight(each, run.job_id, run.due_ms, rig.clock.monotonic()))
    rig.auditor.reopened(0)
    await rig.auditor.turn()

    assert [(each.ref, runs[2].due_ms)] == rig.again
    assert [runs[0].job_id] == rig.lost
    assert 1 == len(rig.awaited)
