"""`overlap: cancel`: the newer occurrence wins, and yet no job overlaps itself."""

from rota.common.intervention import Intervention
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, probe
from tests.support.definitions import job
from tests.support.schedulers import REF, claimed, running, slot

EACH = job(every="500ms", overlap="cancel")


async def test_waiting_run_gives_way(url: str, store: Store) -> None:
    """A run that still waits when the job is due again is cancelled, and the newer one enqueued."""
    async with running(url, EACH) as rig:
        await probe.until(lambda: len(rig.enqueued()) >= 3)
        told = [completion.outcome for completion in rig.heard]
        ids = rig.enqueued()

    assert {"cancelled"} == set(told)
    assert sorted(set(ids)) == ids


async def test_running_run_ends_first(url: str, store: Store) -> None:
    """While a run that is to end goes on nothing is enqueued; then the latest occurrence is."""
    async with running(url, EACH) as rig:
        await probe.until(rig.enqueued)
        run = await claimed(store)
        before = len(rig.enqueued())
        await probe.until(lambda: len(rig.book.events("run_superseded")) >= 3)
        heard = await Intervention(store).listen(builders.GROUP, builders.WORKER)
        during = rig.enqueued()[before:]
        in_flight = (await slot(store)).run
        await builders.complete(store, run, "cancelled")
        await probe.until(lambda: len(rig.enqueued()) > before)

    assert (run.job_id, run.fence) == heard
    assert [] == during
    assert run.job_id == in_flight


async def test_triggered_run_gives_way(url: str, store: Store) -> None:
    """A run that somebody triggered is cancelled, too, when the job is due."""
    await builders.enqueue(store, builders.occurrence(due_ms=0))
    async with running(url, EACH) as rig:
        await probe.until(lambda: "cancelled" in [told.outcome for told in rig.heard])
        await probe.until(rig.enqueued)

    assert REF in rig.enqueued()[0]
    assert State.CANCELLED.value == rig.heard[0].outcome
