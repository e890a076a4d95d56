"""`sched backfill` and `sched backfills` as people and programs meet them."""

import pytest

from rota.common.catalog import Catalog
from rota.common.store import Store
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.system.test_sched_cli import sched

pytestmark = pytest.mark.system

SPAN = ("--from", "2026-11-20", "--to", "2026-11-20T03:00")


async def test_a_backfill(url: str, store: Store) -> None:
    """It is listed, begun after a yes, not doubled, shown, and stopped."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    listed = await sched("backfill", "acme/import", *SPAN, "--dry-run", url=url)
    alone = await sched("backfill", "acme/import", *SPAN, url=url)
    begun = await sched("backfill", "acme/import", *SPAN, "--yes", url=url)
    again = await sched("backfill", "acme/import", *SPAN, "--yes", "-o", "json", url=url)
    shown = await sched("backfills", url=url)
    other = await sched("backfill", "acme/import", *SPAN[:3], "2026-11-20", "--yes", url=url)
    ended = await sched("backfill", "acme/import", "--stop", url=url)
    none = await sched("backfill", "acme/import", "--stop", url=url)

    assert ["2026-11-20T00:00:00+00:00", "4 runs of acme/import"] == listed.out.splitlines()[::4]
    assert (6, True) == (alone.code, "add --yes" in alone.err)
    assert "backfill 1 of acme/import begins within 2 s" in begun.out
    assert (4, True) == (again.data["runs"], again.data["already"])
    assert "acme/import  1       2026-11-20T00:00:00Z  2026-11-20T03:00:00Z  0" in shown.out
    assert (6, True) == (other.code, "another backfill of acme/import is under way" in other.err)
    assert "backfill 1 of acme/import ended: 0 of 4 runs were enqueued" in ended.out
    assert 5 == none.code


async def test_mistakes(url: str, store: Store) -> None:
    """What is not said is asked for, and a job that nobody knows is not found."""
    open_end = await sched("backfill", "acme/import", "--from", "2026-11-20", url=url)
    unknown = await sched("backfill", "acme/import", *SPAN, url=url)

    assert (2, True) == (open_end.code, "--from TIME and --to TIME" in open_end.err)
    assert (5, True) == (unknown.code, "no job acme/import is known" in unknown.err)
