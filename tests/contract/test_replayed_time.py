"""How long a replayed run took: from the replay's first start on, not since the run's own."""

from typing import Any

import pytest

from rota.common.intervention import Intervention
from rota.common.ledger import Attempts, Ledger
from rota.common.store import Store
from tests.support import builders, fans
from tests.support.builders import GROUP, HOUR_MS
from tests.support.fans import LATER, MEND

REF = "acme/import"


async def last(store: Store) -> Attempts:
    """Return the entry of the run's last life."""
    found = await Ledger(store.link).of(GROUP, REF, 0)
    (entry,) = [e for e in found if isinstance(e, Attempts) and e.replays]
    return entry


@pytest.mark.parametrize(
    "over", [{}, {"phases": (LATER,)}, {"phases": (LATER,), "on_failure": MEND}]
)
async def test_tasks_done_again(store: Store, over: dict[str, Any]) -> None:
    """A run that goes on with its dead tasks began when it was replayed, in whatever phase."""
    held = await fans.fan_out(store, 2, **over)
    await fans.end_all(store, "dead")
    await builders.shift(store, HOUR_MS)
    await Intervention(store).replay(GROUP, held.job_id)
    current = await Ledger(store.link).current(GROUP, held.job_id)
    await fans.end_all(store)
    entry = await last(store)

    assert current
    assert ("fanned", "succeeded") == (current.outcome, entry.outcome)
    assert current.queued_ms <= current.first_ms == entry.first_ms
    assert entry.took_ms is not None
    assert entry.took_ms < HOUR_MS / 2


async def test_handler_called_again(store: Store) -> None:
    """A run that is queued again has not begun, and is over without a start if it is cancelled."""
    held = await fans.begin(store)
    await builders.complete(store, held, "dead")
    await builders.shift(store, HOUR_MS)
    await Intervention(store).replay(GROUP, held.job_id)
    current = await Ledger(store.link).current(GROUP, held.job_id)
    await Intervention(store).cancel([(GROUP, held.job_id)])

    assert current
    assert ("queued", 0) == (current.outcome, current.first_ms)
    assert (await last(store)).took_ms is None
