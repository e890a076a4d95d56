"""The reconciler: a slow walk that tells what it repaired, as long as its group is led."""

import json

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler import output, reconciler, status, status_page
from rota.scheduler.daemon import SchedulerDaemon
from rota.scheduler.reconciler import Reconciler
from tests.support import builders, probe, workers
from tests.support.builders import GROUP, Clock
from tests.support.definitions import config
from tests.support.logbook import Logbook

JOB_ID = builders.occurrence().job_id


async def damage(store: Store) -> None:
    """Leave a run that runs without a lease, in a group that counts wrong."""
    await builders.seed(store, State.RUNNING)
    await Catalog(store.link).publish(GROUP, [])
    await store.link.command("ZREM", keys.leases(GROUP), JOB_ID)
    await store.link.command("HINCRBY", keys.root(GROUP), "running", 3)


async def test_walk(store: Store) -> None:
    """A walk takes a step a second, tells each repair with what it was of, and rests a minute."""
    await damage(store)
    clock, book = Clock(), Logbook()
    walking = Reconciler(GROUP, store=store, clock=clock, log=book.log)
    pauses = [await walking.turn()]
    while pauses[-1] <= 1.0:
        clock.advance(pauses[-1])
        pauses.append(await walking.turn())
    told = [
        (entry["what"], entry.get("job_id"), entry.get("counted"))
        for entry in book.events("repaired")
    ]

    assert [1.0, 1.0, 1.0] == pauses[:3]
    assert 60.0 == sum(pauses)
    assert [("lease_missing", JOB_ID, None), ("running_miscounted", None, "4 for 1")] == told
    assert {GROUP} == {entry["group"] for entry in book.events("repaired")}


async def test_many_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more keys than fit into a step a walk has more steps, and sees them all."""
    monkeypatch.setattr("rota.common.link.link._SCANNED", 10)
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n}") for n in range(100)))
    runs = (await builders.claim(store, 100)).runs
    await store.link.command("DEL", keys.leases(GROUP))
    book = Logbook()
    walking = Reconciler(GROUP, store=store, clock=Clock(), log=book.log)
    steps = 1
    while await walking.turn() == 1.0:
        steps += 1

    assert steps > 10
    assert {run.job_id for run in runs} == {e["job_id"] for e in book.events("repaired")}


async def test_too_large_to_count(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a group is too large for a recount is told, and is no repair."""
    monkeypatch.setattr(reconciler, "_MOST", 1)
    await builders.seed(store, State.RUNNING)
    book = Logbook()
    walking = Reconciler(GROUP, store=store, clock=Clock(), log=book.log)
    while await walking.turn() == 1.0:
        pass
    (skipped,) = book.events("recount_skipped")

    assert (GROUP, 1) == (skipped["group"], skipped["most"])
    assert [] == book.complaints()
    assert {} == (await Catalog(store.link).counts(GROUP)).repairs


async def test_lease(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run without a lease gets one as long as its worker's, which has to renew it meanwhile."""
    monkeypatch.setattr(reconciler, "_STEP", 0.01)
    await damage(store)
    given_ms = 60_000
    began_ms = SystemClock().now_ms()
    daemon = SchedulerDaemon(url, config(groups=(GROUP,)), log=Logbook().log, lease_ms=given_ms)
    await daemon.start()
    try:
        end_ms = await workers.leased(store, builders.occurrence())
    finally:
        await daemon.stop()

    assert began_ms + given_ms <= end_ms


async def test_leader_walks(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leads a group repairs it, and `sched status` tells how often of what kind."""
    monkeypatch.setattr(reconciler, "_STEP", 0.01)
    await damage(store)
    book = Logbook()
    daemon = SchedulerDaemon(url, config(groups=(GROUP,)), log=book.log)
    await daemon.start()
    try:
        await probe.until(lambda: 2 == len(book.events("repaired")))
    finally:
        await daemon.stop()
    (row,) = (await status.gather(Catalog(store.link))).groups

    assert {"lease_missing": 1, "running_miscounted": 1} == row.repairs


async def test_status(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Repairs are shown where there were any, and always there for programs."""
    await Catalog(store.link).publish(GROUP, [])
    sound = await status.gather(Catalog(store.link))
    status_page.show(sound, now=Clock())
    output.write_json(sound)
    quiet, data = capsys.readouterr().out.split("\n{", 1)
    await store.link.command("HSET", keys.repairs(GROUP), "slot_stale", 2, "lease_missing", 1)
    status_page.show(await status.gather(Catalog(store.link)), now=Clock())

    assert "repair" not in quiet
    assert {} == json.loads("{" + data)["groups"][0]["repairs"]
    assert (
        "! group gold: repaired what can't happen: 1 lease_missing, 2 slot_stale"
        in capsys.readouterr().out
    )
