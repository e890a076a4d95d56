"""`sched tenants` and `sched fairness` as people and programs meet them."""

import pytest

from rota.common.catalog import Catalog
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.system.test_sched_cli import sched

pytestmark = pytest.mark.system


async def some_tenants(store: Store) -> None:
    """Let one tenant be served and have a dead letter, and another one wait at its limit."""
    refs = [f"{tenant}/{name}" for tenant in ("acme", "bolt") for name in ("a", "b")]
    await Catalog(store.link).publish(GROUP, [job(ref, every="1h") for ref in refs])
    limits = TenantLimits(max_concurrency=1, interval_ms=12_000.0, max_backlog=50)
    await Limiter(store).limit(GROUP, GroupLimits(tenants={"bolt": limits}))
    await builders.seed(store, State.RUNNING, tenant="bolt", job="a")
    seeded = await builders.seed(store, State.RUNNING, tenant="acme", job="a")
    await builders.shift(store, 30_000)
    await builders.complete(store, seeded.run, "dead")
    await builders.enqueue(store, builders.occurrence("bolt", "b"))


async def test_tenants(url: str, store: Store) -> None:
    """Each tenant is one line, with its limits as they are in force."""
    await some_tenants(store)
    table = await sched("tenants", url=url)
    data = (await sched("tenants", GROUP, "-o", "json", url=url)).data

    assert 0 == table.code
    assert ["TENANT", "acme", "bolt"] == [line.split()[0] for line in table.out.splitlines()[1:4]]
    assert "5/m burst 1" in table.out
    assert [("acme", 2, 0, 1), ("bolt", 2, 1, 0)] == [
        (line["tenant"], line["jobs"], line["queued"], line["dead"]) for line in data
    ]
    assert (1, "5/m", 50) == (
        *(data[1][name] for name in ("max_concurrency", "rate_limit", "max_backlog")),
    )
    assert data[0]["last_failure"]["job_id"].startswith("acme/a:")


async def test_fairness(url: str, store: Store) -> None:
    """Service, shares and waits are told since the counters began, or for a time from now on."""
    await some_tenants(store)
    begun = await sched("fairness", url=url)
    data = (await sched("fairness", "-o", "json", url=url)).data
    now = (await sched("fairness", GROUP, "--for", "1s", "-o", "json", url=url)).data

    assert 0 == begun.code
    assert begun.out.startswith("service of workers since the counters began")
    assert ["acme", "bolt"] == sorted(line["tenant"] for line in data["tenants"])
    assert all(30 <= line["service_s"] < 35 for line in data["tenants"])
    assert None is data["seconds"]
    assert 1 <= now["seconds"] < 5
    assert ["bolt"] == [line["tenant"] for line in now["tenants"]]
    # The counters are read a moment after the time is, at both ends: some milliseconds off.
    assert 0.5 < now["tenants"][0]["service_s"] < 5


async def test_nothing(url: str, store: Store) -> None:
    """Where nothing has run words say so; what is no group and no time is refused."""
    empty = [await sched(command, url=url) for command in ("tenants", "fairness")]
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    idle = await sched("fairness", url=url)
    unknown = await sched("tenants", "silver", url=url)
    wrong = [await sched("fairness", "--for", text, url=url) for text in ("soon", "10ms")]

    assert [0, 0] == [done.code for done in empty]
    assert ["no tenant has jobs here\n", True] == [
        *(empty[0].out, empty[1].out.startswith("nothing here yet")),
    ]
    assert f"group {GROUP}: nothing ran, and nothing is queued" in idle.out
    assert (5, True) == (unknown.code, "no group 'silver'" in unknown.err)
    assert [2, 2] == [done.code for done in wrong]
    assert "write a time from 1s to 1h" in wrong[1].err
