"""What `sched status` tells of a store: groups, tenants, jobs, runs and workers."""

import json
from datetime import datetime

import pytest

from rota.common import clock
from rota.common.catalog import Catalog
from rota.common.errors import NotFound
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler import output, status, status_page
from rota.scheduler.status import Status
from tests.support import builders, fans
from tests.support.builders import DUE_MS, GROUP, Clock
from tests.support.definitions import job

JOBS = [
    job("acme/done", every="15m"),
    job("acme/dead", after="5m"),
    job("acme/running", cron="0 3 * * *"),
    job("bolt/held", every="15m", handler="mail.write"),
    job("bolt/retrying", every="15m"),
    job("bolt/queued", every="15m"),
]


async def prepare(store: Store) -> None:
    """Publish `JOBS` in group `gold`, with a run each, and a group `silver` without anything."""
    catalog = Catalog(store.link)
    await catalog.publish(GROUP, JOBS)
    await catalog.publish("silver", [job("acme2/idle", every="1h", group="silver")])
    states = [State.SUCCEEDED, State.DEAD, State.RUNNING, State.HELD, State.RETRYING, State.QUEUED]
    for each, state in zip(JOBS, states, strict=True):
        await builders.seed(store, state, tenant=each.tenant, job=each.name, handler=each.handler)


async def gathered(store: Store, tenant: str | None = None, *, jobs: bool = False) -> Status:
    """Return the status of a prepared store."""
    await prepare(store)
    return await status.gather(Catalog(store.link), tenant, jobs=jobs)


def shown(result: Status, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed for people."""
    status_page.show(result, now=Clock())
    return capsys.readouterr().out


def line(text: str, start: str) -> list[str]:
    """Return the words of the only line that starts with `start`."""
    (found,) = [line.split() for line in text.split("\n") if line.strip().startswith(start)]
    return found


async def test_groups(store: Store) -> None:
    """Each group tells its tenants, jobs, workers, and how many runs are in which state."""
    gold, silver = (await gathered(store)).groups

    assert ("gold", 2, 6, 2) == (gold.group, gold.tenants, gold.jobs, gold.workers)
    assert (1, 1, 1, 1) == (gold.queued, gold.running, gold.retrying, gold.dead)
    assert {"mail.write": 1} == gold.held
    assert ["mail.write"] == gold.unserved
    assert ("silver", 1, 1, 0) == (silver.group, silver.tenants, silver.jobs, silver.workers)
    assert (0, 0, 0, 0, {}) == (
        silver.queued,
        silver.running,
        silver.retrying,
        silver.dead,
        silver.held,
    )
    assert ["orders.import"] == silver.unserved


async def test_fanned(store: Store) -> None:
    """A run that waits for its tasks is counted until the last of them is over."""
    catalog = Catalog(store.link)
    await catalog.publish(GROUP, [job("acme/import", every="15m")])
    await fans.fan_out(store, 3, phases=(fans.LATER,))
    (before,) = (await status.gather(catalog)).groups
    first, *others = await fans.claim_all(store)
    await builders.complete(store, first)
    (between,) = (await status.gather(catalog)).groups
    for each in others:
        await builders.complete(store, each)
    (after,) = (await status.gather(catalog)).groups

    assert [1, 1, 0] == [row.fanned for row in (before, between, after)]
    assert [(3, 0), (0, 2), (1, 0)] == [
        (row.queued, row.running) for row in (before, between, after)
    ]


async def test_tenants(store: Store) -> None:
    """Each tenant tells its group, its jobs, and what is queued and running."""
    rows = (await gathered(store)).tenants

    assert [
        ("acme", "gold", 3, 0, 1),
        ("bolt", "gold", 3, 1, 0),
        ("acme2", "silver", 1, 0, 0),
    ] == [(row.tenant, row.group, row.jobs, row.queued, row.running) for row in rows]


async def test_jobs(store: Store) -> None:
    """Each job tells its schedule, who serves it, what is in flight and how its last run ended."""
    rows = {row.job: row for row in (await gathered(store, jobs=True)).jobs or []}
    done, dead, running, held = (
        rows[name] for name in ("acme/done", "acme/dead", "acme/running", "bolt/held")
    )

    assert ("every 15m", "after 5m", "cron 0 3 * * *") == tuple(
        row.schedule for row in (done, dead, running)
    )
    assert (True, False) == (done.served, held.served)
    assert (None, "succeeded") == (done.in_flight, done.outcome)
    assert "acme/done:20270115T080000Z" == done.last
    assert done.ended is not None
    assert done.ended.endswith("Z")
    assert "dead" == dead.outcome
    assert ("acme/running:20270115T080000Z", None) == (running.in_flight, running.outcome)
    assert held.in_flight is not None


async def test_runs_and_workers(store: Store) -> None:
    """Each run under way tells its worker and attempt; each worker what it serves."""
    result = await gathered(store)
    (run,) = result.runs
    other, first = result.workers

    assert ("acme/running:20270115T080000Z", "gold", "w1", 1) == (
        run.job_id,
        run.group,
        run.worker,
        run.attempt,
    )
    assert ("w1", ["gold"], 8, ["orders.import"]) == (
        first.worker,
        first.groups,
        first.concurrency,
        first.handlers,
    )
    assert ["mail.send"] == other.handlers


async def test_one_tenant(store: Store) -> None:
    """Asked for a tenant, only its jobs and runs are told."""
    result = await gathered(store, "acme")

    assert ["acme"] == [row.tenant for row in result.tenants]
    assert {"acme/done", "acme/dead", "acme/running"} == {row.job for row in result.jobs or []}
    assert ["acme/running:20270115T080000Z"] == [row.job_id for row in result.runs]


@pytest.mark.parametrize("tenant", ["nobody", "acm", "acme/done", ""])
async def test_unknown_tenant(store: Store, tenant: str) -> None:
    """A tenant that the store does not know is not found, and is named."""
    with pytest.raises(NotFound, match=repr(tenant)):
        await gathered(store, tenant)


async def test_empty_store(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty store has an empty status, and what to do is said."""
    result = await status.gather(Catalog(store.link))

    assert Status() == result
    assert "sched run" in shown(result, capsys)


async def test_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON every section is there, also those that are empty."""
    output.write_json(await gathered(store, "bolt"))
    read = json.loads(capsys.readouterr().out)

    assert {"groups", "tenants", "jobs", "runs", "workers"} == read.keys()
    assert [] == read["runs"]
    assert {"mail.write": 1} == read["groups"][0]["held"]


async def test_tables(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """People see each section as a table, and are warned of handlers that nobody serves."""
    text = shown(await gathered(store), capsys)

    assert ["GROUPS", "WORKERS", "TENANTS", "RUNS"] == [
        title for title in text.split("\n") if title.isupper() and not title.startswith(" ")
    ]
    assert ["gold", "2", "6", "1", "1", "1", "0", "1", "1", "2", "-"] == line(text, "gold")
    assert "! group gold: no worker serves handler mail.write (1 run waits)" in text
    assert "! group silver: no worker serves handler orders.import (no run waits)" in text
    assert "w1" == line(text, "acme/running:")[-1]


async def test_tables_of_one_tenant(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """With a tenant its jobs are a table as well."""
    text = shown(await gathered(store, "bolt"), capsys)

    assert "\nJOBS\n" in text
    assert ["bolt/held", "every", "15m", "mail.write", "NO", "yes", "-", "-"] == line(
        text, "bolt/held"
    )
    assert "acme/done" not in text


async def test_age_of_a_run(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A run under way tells for how long, and one that began in the future for no time."""
    result = await gathered(store)
    (run,) = result.runs
    began = Clock(clock.epoch_ms(datetime.fromisoformat(run.started)))
    began.advance(2.5)
    status_page.show(result, now=began)

    assert "2.5s" in line(capsys.readouterr().out, "acme/running:")

    began.advance(-60)
    status_page.show(result, now=began)

    assert "0.0s" in line(capsys.readouterr().out, "acme/running:")


async def test_many_tenants(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Of many tenants the busiest are shown, and the others counted."""
    jobs = [job(f"t{n:03}/x", every="1h") for n in range(50)]
    await Catalog(store.link).publish(GROUP, jobs)
    await builders.enqueue(store, builders.occurrence("t047", "x", DUE_MS))
    text = shown(await status.gather(Catalog(store.link)), capsys)
    table = text[text.index("TENANTS\n") :].split("\n")

    assert "t047" == table[2].split()[0]
    assert "t000" == table[3].split()[0]
    assert "  ... and 20 more tenants" in table
