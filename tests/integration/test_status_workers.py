"""What `sched status` tells of workers: which of them live, what they hold, or that none is."""

import pytest

from rota.common import clock, keys
from rota.common.catalog import Catalog
from rota.common.store import Store
from rota.common.worker_info import REGISTRATION_MS
from rota.scheduler import status, status_page
from rota.scheduler.status import Status, WorkerRow
from tests.support import builders, workers
from tests.support.builders import GROUP, WORKER, Clock
from tests.support.definitions import job

JOBS = [job("acme/import", every="1h"), job("acme/mail", every="1h", handler="mail.send")]


async def gathered(store: Store, *, jobs: bool = False) -> Status:
    """Return the status."""
    return await status.gather(Catalog(store.link), jobs=jobs)


async def only_worker(store: Store) -> WorkerRow:
    """Return what is told of the only worker."""
    (row,) = (await gathered(store)).workers
    return row


async def silence(store: Store, seconds: int, group: str = GROUP) -> None:
    """Make the worker's last registration in a group so much older."""
    await store.link.command("ZINCRBY", keys.workers(group), -1_000 * seconds, WORKER)


def shown(result: Status, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what is printed for people."""
    status_page.show(result, now=Clock())
    return capsys.readouterr().out


async def test_seen(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that registers is seen now; it is not silent until it has missed two turns."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    fresh = await only_worker(store)
    await silence(store, 9)
    late = await gathered(store)

    assert fresh.seen_ms_ago < 5_000
    assert not fresh.silent
    assert 9_000 <= late.workers[0].seen_ms_ago < 11_000
    assert not late.workers[0].silent
    assert shown(late, capsys).count("9s ago\n") == 1


async def test_silent(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker that has missed two registrations is marked, long before it is no longer listed."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    before = await only_worker(store)
    await silence(store, 12)
    result = await gathered(store)

    assert result.workers[0].silent
    assert result.workers[0].seen < before.seen
    assert "12s ago, silent\n" in shown(result, capsys)


async def test_silent_workers_do_not_count(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """A group counts the workers that live; what only a silent one served nobody serves."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store, "w2", "mail.send")
    await builders.register(store)
    await silence(store, 12)
    result = await gathered(store, jobs=True)
    (group,) = result.groups

    assert (1, ["orders.import"]) == (group.workers, group.unserved)
    assert [False, True] == [row.served for row in result.jobs or []]
    assert "no worker serves handler orders.import" in shown(result, capsys)


async def test_only_silent_workers(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """If all workers are silent it is told that none is running."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    await silence(store, 12)
    text = shown(await gathered(store), capsys)

    assert "! no worker is running; no run waits" in text
    assert "no worker serves" not in text


async def test_seen_in_any_group(store: Store) -> None:
    """Of a worker of several groups the latest registration counts."""
    for group in (GROUP, "silver"):
        await Catalog(store.link).publish(group, [])
    await builders.register(store, groups=(GROUP, "silver"))
    await silence(store, 20)

    assert not (await only_worker(store)).silent


async def test_running(store: Store) -> None:
    """What a worker runs is what the store has given it, not what it said when it registered."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    await builders.enqueue(store, workers.run_of("import"))
    before = await only_worker(store)
    await builders.claim(store)

    assert 0 == before.running
    assert 1 == (await only_worker(store)).running


async def test_seen_is_exact(store: Store) -> None:
    """The time of a registration is told to the second, and kept to the millisecond."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await builders.register(store)
    await store.link.command("ZADD", keys.workers(GROUP), 1_800_000_000_500, WORKER)
    row = await only_worker(store)

    assert clock.iso((1_800_000_000_500 - REGISTRATION_MS) // 1000 * 1000) == row.seen


async def test_no_worker(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any worker that is said once, with what waits, and not for each handler."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await Catalog(store.link).publish("silver", [job("bolt/import", every="1h", group="silver")])
    await builders.enqueue(store, workers.run_of("import"))
    text = shown(await gathered(store), capsys)

    assert "! no worker is running; 1 run waits (`worker run --app MODULE` starts one)\n" in text
    assert 1 == text.count("no worker")


async def test_some_workers(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """With some worker each handler that nobody serves is told."""
    await Catalog(store.link).publish(GROUP, JOBS)
    await Catalog(store.link).publish("silver", [job("bolt/import", every="1h", group="silver")])
    await builders.register(store)
    text = shown(await gathered(store), capsys)

    assert "! group gold: no worker serves handler mail.send (no run waits)\n" in text
    assert "! group silver: no worker serves handler orders.import (no run waits)\n" in text
    assert "no worker is running" not in text


async def test_jobs_when_asked(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs, of which there may be very many, are told when they are asked for."""
    await Catalog(store.link).publish(GROUP, JOBS)
    summary, everything = await gathered(store), await gathered(store, jobs=True)

    assert summary.jobs is None
    assert 2 == summary.groups[0].jobs
    assert ["acme/import", "acme/mail"] == [row.job for row in everything.jobs or []]
    assert "\nJOBS\n" not in shown(summary, capsys)
    assert "\nJOBS\n" in shown(everything, capsys)
