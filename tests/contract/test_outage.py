"""While nobody leads a group, those who ask for a job are told so, and what of it is overdue."""

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.job import Blackout, Job
from rota.common.store import Store
from rota.scheduler import history, outage
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.definitions import job
from tests.support.kept import set_cursor

HOURLY = job(every="1h", phase_ms=0)
LED_UNTIL = "2027-01-15T05:30:00Z"
LUNCH = Blackout(between="06:00..08:00")


async def end_lead(store: Store) -> None:
    """Let somebody have led the group until two and a half hours ago."""
    await store.link.command("HSET", keys.root(GROUP), "led_until", DUE_MS - 5 * HOUR_MS // 2)


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (
            HOURLY,
            "; 3 occurrences of acme/import are overdue, the first since 2027-01-15T06:00:00Z",
        ),
        (
            job(every="1h", phase_ms=0, blackouts=(LUNCH,)),
            "; 1 occurrence of acme/import is overdue, since 2027-01-15T08:00:00Z",
        ),
        (job(cron="0 3 * * *"), "; nothing of acme/import is overdue, as far as is known"),
    ],
)
async def test_overdue(store: Store, each: Job, expected: str) -> None:
    """One reads since when nobody leads, and how much is overdue; a blackout lets nothing be."""
    await end_lead(store)
    await set_cursor(store, DUE_MS - 3 * HOUR_MS)
    told = await outage.tell(each, store.link, DUE_MS)

    assert told.startswith(f"no scheduler leads group gold since {LED_UNTIL}: ")
    assert told.endswith(expected)


async def test_fixed_delay(store: Store) -> None:
    """A fixed delay is overdue since its last run has ended for so long."""
    slot = keys.slot(GROUP, "acme/import")
    await store.link.command("HSET", slot, "ended", DUE_MS - 2 * HOUR_MS)
    told = await outage.tell(job(after="1h"), store.link, DUE_MS)

    assert told.startswith("no scheduler leads group gold: ")
    assert told.endswith("acme/import is overdue since 2027-01-15T07:00:00Z")


async def test_never_ran(store: Store) -> None:
    """Of a job that never ran, and of which nothing was applied, nothing is overdue."""
    assert "nothing of acme/import is overdue" in await outage.tell(HOURLY, store.link, DUE_MS)


async def test_shown(store: Store) -> None:
    """Both commands say it, and they say nothing of it while somebody leads."""
    await Catalog(store.link).publish(GROUP, [HOURLY])
    before = await history.read_all("acme/import", store.link, DUE_MS)
    await store.lead(GROUP, "s1", 60_000, wanted=True, led_last=False)
    after = await history.read_all("acme/import", store.link, DUE_MS)

    assert ["no scheduler leads group gold"] == [line.partition(":")[0] for line in before.trouble]
    assert [] == after.trouble
