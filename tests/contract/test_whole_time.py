"""What is told of a run that had several attempts or phases is told of all of them."""

import msgspec

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.job import Retry
from rota.common.ledger import Attempts, Ledger
from rota.common.message import Completion
from rota.common.store import Store
from rota.scheduler import live_run
from tests.support import builders, fans
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.support.fans import LATER, MEND


async def heard(store: Store) -> Completion:
    """Return the last completion on the group's stream."""
    return (await store.completions(GROUP, "0-0"))[1][-1][0]


async def test_phases(store: Store) -> None:
    """Who listens hears how long the whole run took, beside how long its last phase did."""
    held = await fans.begin(store, phases=(LATER,))
    await builders.shift(store, 20_000)
    await fans.advance(store, held)
    (second,) = await fans.claim_all(store)
    await fans.advance(store, second)
    told = await heard(store)

    assert 20_000 <= told.run_ms == told.whole_ms < 40_000
    assert told.took_ms < 20_000


async def test_attempts(store: Store) -> None:
    """An attempt that another follows is told with its own time, the last one with the run's."""
    held = await fans.begin(store)
    await builders.shift(store, 20_000)
    await builders.retry(store, held)
    rests = await heard(store)
    await builders.shift(store, 60_000)
    await store.sweep(GROUP)
    (again,) = await fans.claim_all(store)
    await builders.complete(store, again)

    assert rests.took_ms == rests.whole_ms
    assert 80_000 <= (await heard(store)).whole_ms


async def test_one_attempt(store: Store) -> None:
    """Of a run that succeeds at once nothing is added: its worker's time is the exact one."""
    await fans.advance(store, await fans.begin(store))
    fields = (await store.link.command("XRANGE", keys.done(GROUP), "-", "+"))[0][1]

    assert b"first" not in fields
    assert 0 == (await heard(store)).run_ms


async def test_attempts_of_the_phase_that_failed(store: Store) -> None:
    """A dead run tells the attempts of what failed, not those of its handler for failures."""
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    mend = msgspec.structs.replace(MEND, retry=Retry(attempts=7))
    held = await fans.begin(store, attempts=2, on_failure=mend)
    await builders.retry(store, held)
    await builders.shift(store, 60_000)
    await store.sweep(GROUP)
    (again,) = await fans.claim_all(store)
    await builders.complete(store, again, "dead")
    (mending,) = await fans.claim_all(store)
    await fans.advance(store, mending)
    (entry,) = await Ledger(store.link).of(GROUP, "acme/import", 0)
    shown = await live_run.read(held.job_id, store.link)

    assert isinstance(entry, Attempts)
    assert (2, 1) == (again.attempt, mending.attempt)
    assert 2 == entry.attempts
    assert (2, 2) == (shown.entry.attempts, shown.attempts)
