"""The store remembers of each job when a run succeeded last, and how many died in a row since."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog, Slot
from rota.common.intervention import Intervention
from rota.common.store import LEASE_MS, Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP

REF = "acme/import"


async def slot(store: Store) -> Slot:
    """Return what is remembered of the job."""
    return (await Catalog(store.link).slots(GROUP, [REF]))[0]


async def ends(store: Store, *outcomes: str) -> None:
    """Let one run after the other end so."""
    await builders.register(store)
    first_ms = (await slot(store)).due_ms or DUE_MS
    for number, outcome in enumerate(outcomes, start=1):
        await builders.enqueue(store, builders.occurrence(due_ms=first_ms + number))
        await builders.complete(store, (await builders.claim(store)).runs[0], outcome)


@pytest.mark.parametrize(
    ("outcomes", "failures"),
    [
        (["dead"] * 3, 3),
        (["dead", "cancelled", "dead"], 2),
        (["dead", "dead", "succeeded"], 0),
        (["succeeded", "dead"], 1),
        (["cancelled"], 0),
    ],
)
async def test_counted(store: Store, outcomes: list[str], failures: int) -> None:
    """Deaths in a row are counted; a success ends the row, a cancelled run counts neither way."""
    await ends(store, *outcomes)
    found = await slot(store)

    assert failures == found.failures
    assert (failures > 0) == (found.failed_ms > 0)
    assert ("succeeded" in outcomes) == (found.ok_ms > 0)


async def test_last_success(store: Store) -> None:
    """The time of the last success stays while runs die or are cancelled."""
    await ends(store, "succeeded")
    ok_ms = (await slot(store)).ok_ms
    await builders.shift(store, 60_000)
    await ends(store, "dead", "cancelled")
    found = await slot(store)

    assert found.ended_ms is not None
    assert ok_ms == found.ok_ms < found.failed_ms <= found.ended_ms


async def test_told_twice(store: Store) -> None:
    """A death that is told again is one death."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence())
    run = (await builders.claim(store)).runs[0]
    await builders.complete(store, run, "dead")
    await builders.complete(store, run, "dead")

    assert 1 == (await slot(store)).failures


async def test_worker_lost(store: Store) -> None:
    """A run whose last attempt was lost with its worker has died, too."""
    await builders.register(store)
    await builders.enqueue(store, builders.occurrence(attempts=1))
    await builders.claim(store)
    await builders.shift(store, LEASE_MS + 1)
    await store.sweep(GROUP)

    assert 1 == (await slot(store)).failures


async def test_replayed(store: Store) -> None:
    """A dead letter that is replayed and succeeds ends the row."""
    await ends(store, "dead", "dead")
    last = (await slot(store)).last
    assert last is not None
    await Intervention(store).replay(GROUP, last)
    await builders.complete(store, (await builders.claim(store)).runs[0])

    assert 0 == (await slot(store)).failures


async def test_forgiven(store: Store) -> None:
    """What is forgiven by hand is counted anew; all else that is known of the job stays."""
    await ends(store, "succeeded", "dead", "dead")
    before = await slot(store)
    await Catalog(store.link).forgive(GROUP, [REF, "acme/unknown"])

    assert before._replace(failures=0, failed_ms=0) == await slot(store)
    assert 0 == await store.link.command("EXISTS", keys.slot(GROUP, "acme/unknown"))


async def test_from_before(store: Store) -> None:
    """Of a slot that an earlier version wrote the last end tells of the success."""
    await ends(store, "succeeded")
    await store.link.command("HDEL", keys.slot(GROUP, REF), "ok")
    found = await slot(store)

    assert found.ended_ms == found.ok_ms
