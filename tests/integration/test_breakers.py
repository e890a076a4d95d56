"""A job whose last runs all died rests, and is tried again until a run succeeds."""

import pytest

from rota.common.catalog import Catalog
from rota.common.intervention import Intervention
from rota.common.job import Job
from rota.common.ledger import Stretch
from rota.common.run import Claimed
from rota.common.store import Store
from tests.support import builders, probe, schedulers
from tests.support.builders import GROUP, HOUR_MS
from tests.support.definitions import config, job
from tests.support.kept import flying, ledger, stretches
from tests.support.ledgers import holes
from tests.support.schedulers import REF

LONG = job(every="50ms", pause_after_failures=2, probe_after_ms=HOUR_MS)
SHORT = job(every="50ms", pause_after_failures=2, probe_after_ms=400)
DELAY = job(after="50ms", pause_after_failures=2, probe_after_ms=400)


async def dies(store: Store, times: int = 1) -> Claimed:
    """Let so many runs die; return the last."""
    for _ in range(times):
        run = await schedulers.claimed(store)
        await builders.complete(store, run, "dead")
    return run


async def rested(store: Store, times: int = 1) -> Stretch:
    """Return the last rest in the ledger, as soon as it is of so many occurrences."""

    async def enough() -> list[Stretch]:
        return [e for e in await stretches(store) if e.outcome == "breaker" and e.times >= times]

    return (await probe.found(enough))[0]


async def test_opened(url: str, store: Store) -> None:
    """After so many runs that died nothing is enqueued; what is due is told as that."""
    async with schedulers.running(url, LONG) as rig:
        first = await dies(store)
        run = await dies(store)
        rest = await rested(store, 3)
        (event,) = rig.book.events("breaker_opened")
        entries = await ledger(store)

        assert run.job_id == rig.enqueued()[-1]
        assert "2 runs in a row died" == rest.detail
        assert ("acme", "import", 2) == (event["tenant"], event["job"], event["failures"])
        assert [] == holes(LONG, entries, await flying(store), first.due_ms - 1)


async def test_probe(url: str, store: Store) -> None:
    """After a rest one run is tried: while it dies the job rests again, else it goes on."""
    async with schedulers.running(url, SHORT) as rig:
        first = await dies(store)
        second = await dies(store)
        third = await dies(store)
        probed = await schedulers.claimed(store)
        await builders.complete(store, probed)
        await probe.until(lambda: rig.book.events("breaker_closed"))
        await builders.complete(store, await schedulers.claimed(store), "dead")
        await builders.complete(store, await schedulers.claimed(store))
    entries = await ledger(store)

    assert third.due_ms - second.due_ms >= 400
    assert probed.due_ms - third.due_ms >= 400
    assert {"2 runs in a row died", "3 runs in a row died"} == {
        e.detail for e in await stretches(store) if e.outcome == "breaker"
    }
    assert [] == holes(SHORT, entries, await flying(store), first.due_ms - 1)


async def test_fixed_delay(url: str, store: Store) -> None:
    """A fixed delay rests as long, and is tried at the end of its rest."""
    async with schedulers.running(url, DELAY):
        last = await dies(store, 2)
        slot = await schedulers.slot(store)
        probed = await schedulers.claimed(store)

    assert 400 == probed.due_ms - slot.failed_ms
    assert last.due_ms < probed.due_ms


async def test_cancelled_counts_neither_way(url: str, store: Store) -> None:
    """A run that is cancelled between two that die does not keep the breaker from opening."""
    async with schedulers.running(url, LONG) as rig:
        await dies(store)
        await builders.complete(store, await schedulers.claimed(store), "cancelled")

        assert [] == rig.book.events("breaker_opened")
        await dies(store)
        await rested(store)


@pytest.mark.parametrize("each", [LONG, job(after="50ms", pause_after_failures=2)])
async def test_closed_by_hand(url: str, store: Store, each: Job) -> None:
    """When somebody forgives the failures the job goes on, and is given as many again."""
    async with schedulers.running(url, each) as rig:
        last = await dies(store, 2)
        await probe.until(lambda: rig.book.events("breaker_opened"))
        await probe.until(lambda: rig.book.events("occurrence_skipped"))
        await Catalog(store.link).forgive(GROUP, [REF])
        rig.daemon._breakers.wake()
        run = await dies(store)
        again = await schedulers.claimed(store)

    assert last.due_ms < run.due_ms < again.due_ms


async def test_replayed(url: str, store: Store) -> None:
    """A dead letter that is replayed and succeeds closes the breaker."""
    async with schedulers.running(url, LONG) as rig:
        last = await dies(store, 2)
        await rested(store)
        await Intervention(store).replay(GROUP, last.job_id)
        await builders.complete(store, await schedulers.claimed(store))
        await probe.until(lambda: rig.book.events("breaker_closed"))

        assert last.due_ms < (await schedulers.claimed(store)).due_ms


async def test_takeover(url: str, store: Store) -> None:
    """A scheduler that takes over finds the breaker open, and fires nothing."""
    async with schedulers.running(url, LONG):
        run = await dies(store)
        await dies(store)
        await rested(store, 2)
    async with schedulers.running(url, LONG) as second:
        await rested(store, 10)
        entries = await ledger(store)

        assert [] == second.enqueued()
        assert 1 == len(second.book.events("breaker_opened"))
        assert [] == holes(LONG, entries, await flying(store), run.due_ms - 1)


async def test_setting_changes(url: str, store: Store) -> None:
    """A limit that is set, or taken away, holds at once for what has happened so far."""
    plain = job(every="50ms")
    async with schedulers.running(url, plain) as rig:
        await dies(store, 3)
        await rig.daemon.apply(config(LONG))
        await probe.until(lambda: rig.book.events("breaker_opened"))
        await rested(store)
        await rig.daemon.apply(config(plain))
        await probe.until(lambda: rig.book.events("breaker_closed"))
        await dies(store)
