"""`sched tasks` as people and programs meet it."""

import pytest

from rota.common.catalog import Catalog
from rota.common.store import Store
from tests.support import builders, fans
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.system.test_sched_cli import sched

pytestmark = pytest.mark.system


async def test_tasks(url: str, store: Store) -> None:
    """It tells how far a run is, which tasks run, and why some are dead; or that there are none."""
    await Catalog(store.link).publish(GROUP, [job(cron="0 * * * *")])
    held = await fans.fan_out(store, 100)
    first, second, *_ = await fans.claim_all(store, 3)
    await builders.complete(store, first, "dead")
    await builders.complete(store, second)
    table = await sched("tasks", held.job_id, url=url)
    data = (await sched("tasks", held.job_id, "-o", "json", url=url)).data
    name, key, *_ = table.out.partition("DEAD")[2].splitlines()[2].split()
    none = await sched("tasks", "acme/import:none", url=url)

    assert f"{held.job_id}  phase 1: 100 tasks planned, 2 over (2%)" in table.out
    assert "1 succeeded, 1 dead; 1 running, 97 waiting" in table.out
    assert (first.job_id.rpartition("#")[2], "key") == (name[1:], key)
    assert "#1.98" in table.out.partition("RUNNING")[2]
    assert (100, 1, 97) == (data["planned"], data["running"], data["waiting"])
    assert 5 == none.code
