"""Runs of one job beside each other, where its `overlap` is `allow`: none hides another."""

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.ledger import Attempts, Ledger, Note, Outcome
from rota.common.recording import Recording
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler import beside, history, live_run
from tests.support import backup, builders, fans
from tests.support.builders import BESIDE, DUE_MS, GROUP
from tests.support.definitions import job

REF = f"acme/{BESIDE}"
FIRST, SECOND = (builders.occurrence("acme", BESIDE, DUE_MS + n) for n in (0, 1))


async def test_accepted_beside(store: Store) -> None:
    """A run is accepted while others of its job are in flight; the slot is the last one's."""
    words = await builders.enqueue(store, FIRST, SECOND, FIRST, SECOND)
    slot = await store.link.command("HMGET", keys.slot(GROUP, REF), "run", "due")

    assert ["queued", "queued", "duplicate", "duplicate"] == [word for word, _ in words]
    assert [SECOND.job_id.encode(), str(SECOND.due_ms).encode()] == slot


async def test_each_is_shown(store: Store) -> None:
    """Each run in flight can be shown, not only the last one."""
    await Catalog(store.link).publish(GROUP, [job(REF, every="1h")])
    await builders.enqueue(store, FIRST, SECOND)
    shown = [await live_run.read(each.job_id, store.link) for each in (FIRST, SECOND)]

    assert ["queued", "queued"] == [each.entry.outcome for each in shown]


async def test_all_are_listed(store: Store) -> None:
    """All runs in flight are listed, the last due first, whatever state each of them is in."""
    await Catalog(store.link).publish(GROUP, [job(REF, every="1h", overlap="allow")])
    await builders.register(store)
    await builders.register(store, "w2", "noise")
    runs = [builders.occurrence("acme", BESIDE, DUE_MS + n) for n in range(4)]
    await builders.enqueue(store, *runs[:3])
    resting, _ = (await builders.claim(store, 2)).runs
    await builders.retry(store, resting)
    await builders.claim(store, 1, "w2")
    await builders.enqueue(store, runs[3])
    found = await history.read_all(REF, store.link, DUE_MS)

    listed = [entry for entry in found.known if isinstance(entry, Attempts)]

    assert ["queued", "held", "running", "retrying"] == [run.outcome for run in listed]
    assert [DUE_MS + n for n in (3, 2, 1, 0)] == [run.at_ms for run in listed]


async def test_listed_by_its_tasks(store: Store) -> None:
    """A run that waits for its tasks is listed, once, however many these are."""
    held = await fans.fan_out(store, 5)
    await fans.claim_all(store, 2)
    found = await beside.read(job(every="1h", overlap="allow"), store.link)

    assert [held.job_id] == [run.job_id for run in found]


async def test_each_ends_by_itself(store: Store) -> None:
    """The end of one run is accepted and noted, whichever ended before, and however often told."""
    await builders.register(store)
    await builders.enqueue(store, FIRST, SECOND)
    first, second = (await builders.claim(store, 2)).runs
    words = [await builders.complete(store, run) for run in (first, second, first)]
    entries = await Ledger(store.link).of(GROUP, REF, 0)

    assert ["completed"] * 3 == words
    assert [SECOND.due_ms, FIRST.due_ms] == [entry.at_ms for entry in entries]


async def test_brought_back_beside(store: Store) -> None:
    """After a loss each run is brought back, also one that was claimed before another has ended."""
    await builders.register(store)
    saved = await backup.take(store.link)
    await builders.enqueue(store, FIRST, SECOND)
    first, second = (await builders.claim(store, 2)).runs
    await backup.put_back(store.link, saved)
    await builders.change_server(store)
    word = await builders.complete(store, second)
    renewed = await builders.renew(store, first)
    (adopted,) = await builders.adopt(store, first)

    assert ("completed", "unknown", "adopted") == (word, renewed, adopted)
    assert State.RUNNING is await builders.state_of(store, FIRST.job_id)


async def test_lost_beside(store: Store) -> None:
    """A run that is gone is noted as lost once; one that has ended, or is there, is not."""
    await builders.register(store)
    await builders.enqueue(store, FIRST, SECOND)
    (first,) = (await builders.claim(store)).runs
    await builders.complete(store, first)
    gone = builders.occurrence("acme", BESIDE, DUE_MS - 1)
    notes = [
        Note(REF, Outcome.LOST, "", 0, run.due_ms, 1, run.job_id)
        for run in (FIRST, SECOND, gone, gone)
    ]
    words = await Recording(store).record(GROUP, *notes)
    entries = await Ledger(store.link).of(GROUP, REF, 0)
    lost = [e.job_id for e in entries if isinstance(e, Attempts) and e.outcome == "lost"]

    assert ["past", "past", "recorded", "past"] == [word for word, _ in words]
    assert [gone.job_id] == lost


async def test_since_when_it_is_busy(store: Store) -> None:
    """The slot tells since when the job has been busy: from now on, or as whoever enqueues says."""
    await builders.enqueue(store, builders.occurrence(), builders.occurrence("bolt", busy_ms=5))
    slots = await Catalog(store.link).slots(GROUP, ["acme/import", "bolt/import"])
    began_ms = SystemClock().now_ms()

    assert 5 == slots[1].at_ms
    assert began_ms - 10_000 < (slots[0].at_ms or 0) <= began_ms
