"""A whole worker on a real store: what it promises to those who enqueue, deploy and operate."""

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rota.common import keys, scripts
from rota.common.catalog import Catalog
from rota.common.state import Operation, State
from rota.common.store import Store
from rota.worker import Context, Jobs, registrar
from tests.support import builders, child_app, probe, workers
from tests.support.builders import DUE_MS, GROUP, HANDLER
from tests.support.gate import Gate

SUPPORT = Path(__file__).parent.parent / "support"


async def test_run(url: str, store: Store) -> None:
    """A run's handler is told about it and given its arguments; result and completion are kept."""
    seen: list[Context] = []
    jobs = Jobs()

    @jobs.handler(HANDLER)
    async def load(ctx: Context, source: str, limit: int = 5) -> dict[str, Any]:
        seen.append(ctx)
        return {source: limit}

    run = workers.run_of(args={"source": "ftp"}, keep_ms=builders.HOUR_MS)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        (told,) = await workers.told(store, 1)
    record = await Catalog(store.link).run(GROUP, run.job_id)

    assert ("succeeded", "acme/import", run.job_id) == (told.outcome, told.ref, told.job_id)
    assert {"ftp": 5} == msgspec.msgpack.decode(record["result"])
    assert b"succeeded" == record["state"]
    assert int(record["fence"]) == seen[0].fence
    assert (DUE_MS, 1) == (seen[0].due_ms, seen[0].attempt)


async def test_result_is_not_kept(url: str, store: Store) -> None:
    """Of a run for which nobody waits nothing is left but its completion."""
    run = workers.run_of()
    gate = Gate()
    gate.open.set()
    await builders.enqueue(store, run)
    async with workers.working(url, gate.jobs):
        await workers.told(store, 1)

    assert {} == await Catalog(store.link).run(GROUP, run.job_id)


async def test_every_isolation(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers on the loop, in threads and in child processes work side by side."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))
    jobs = Jobs()
    jobs.include(child_app.jobs)

    @jobs.handler("thread")
    def in_thread(ctx: Context) -> str:
        return threading.current_thread().name

    @jobs.handler("loop")
    async def on_loop(ctx: Context) -> str:
        return threading.current_thread().name

    keep = {"keep_ms": builders.HOUR_MS}
    runs = [workers.run_of(name, handler=name, **keep) for name in ("loop", "thread", "pid")]
    await builders.enqueue(store, *runs)
    async with workers.working(url, jobs):
        await workers.told(store, 3)
    records = [await Catalog(store.link).run(GROUP, run.job_id) for run in runs]
    loop, thread, process = (msgspec.msgpack.decode(record["result"]) for record in records)

    assert "MainThread" == loop
    assert thread.startswith("handler")
    assert isinstance(process, int)


async def test_starts_promptly(url: str, store: Store) -> None:
    """An idle worker starts a run as soon as it is enqueued, time after time."""
    gate = Gate()
    gate.open.set()
    async with workers.working(url, gate.jobs):
        for i in range(5):
            await workers.idle(store)
            await builders.enqueue(store, workers.run_of(f"job-{i}"))
            await gate.begins(i + 1, within=workers.PROMPTLY)


async def test_lost_token(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose wake token was lost starts within the longest block."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.3)
    gate, run, root = Gate(), workers.run_of(), keys.root(GROUP)
    gate.open.set()
    text, sha = scripts.script(Operation.ENQUEUE)
    enqueue: list[Any] = ["EVALSHA", sha, 1, root, 0, 0, *run]
    async with workers.working(url, gate.jobs):
        await workers.idle(store)
        # In one transaction, so that nobody sees the token.
        commands: list[list[Any]] = [
            ["SCRIPT", "LOAD", text],
            ["MULTI"],
            enqueue,
            ["DEL", keys.wake(GROUP)],
            ["EXEC"],
        ]
        await store.link.pipeline(commands)
        await gate.begins(within=workers.PROMPTLY)


async def test_full_worker_hands_the_token_on(url: str, store: Store) -> None:
    """A worker whose last place was taken meanwhile leaves new work to the next idle one."""
    full, free = Gate(), Gate()
    async with workers.working(url, full.jobs, groups=["gold", "silver"], concurrency=1):
        await workers.idle(store, 2)
        async with workers.working(url, free.jobs, groups=["silver"]):
            await workers.idle(store, 3)
            await builders.enqueue(store, workers.run_of(), group="gold")
            await full.begins()
            await builders.enqueue(store, workers.run_of(), group="silver")
            await free.begins(within=workers.PROMPTLY)
            full.open.set()
            free.open.set()


async def test_workers_share(url: str, store: Store) -> None:
    """Two workers share the runs, and one that joins later takes part at once."""
    gate = Gate()
    await builders.enqueue(store, *workers.runs_of(20))
    async with (
        workers.working(url, gate.jobs, concurrency=2),
        workers.working(url, gate.jobs, concurrency=2),
    ):
        await gate.begins(4)
        async with workers.working(url, gate.jobs, concurrency=2):
            await gate.begins(6, within=workers.PROMPTLY)
            gate.open.set()
            told = await workers.told(store, 20)

    assert 3 == len({completion.worker for completion in told})
    assert 20 == len({completion.job_id for completion in told})


async def test_failures(url: str, store: Store) -> None:
    """A failing run rests and is tried again, each attempt counted, until it is a dead letter."""
    attempts: list[int] = []
    jobs = Jobs()

    @jobs.handler(HANDLER)
    def fail(ctx: Context) -> None:
        attempts.append(ctx.attempt)
        raise OSError("disk full")

    run = workers.run_of(attempts=2)
    await builders.enqueue(store, run)
    async with workers.working(url, jobs):
        (first,) = await workers.told(store, 1)
        resting = await builders.state_of(store, run.job_id)
        await builders.shift(store, 11_000)
        await store.sweep(GROUP)
        await workers.told(store, 2)

    assert State.RETRYING is resting
    assert 5_000 <= first.next_ms <= 10_000
    assert State.DEAD is await builders.state_of(store, run.job_id)
    assert [1, 2] == attempts


async def test_poison(url: str, store: Store) -> None:
    """A run that can't be read becomes a dead letter, and the worker goes on."""
    gate = Gate()
    gate.open.set()
    poison = workers.run_of("poison")._replace(body=b"\xc1 no msgpack")
    await builders.enqueue(store, poison, workers.run_of())
    async with workers.working(url, gate.jobs, concurrency=1):
        first, second = await workers.told(store, 2)

    assert first.error is not None
    assert ("dead", "BadRequest", "acme/poison") == (first.outcome, first.error.kind, first.ref)
    assert "succeeded" == second.outcome


async def test_new_group(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker for all groups finds one that is made known while it works."""
    monkeypatch.setattr(registrar, "_PERIOD", 0.05)
    gate = Gate()
    gate.open.set()
    async with workers.working(url, gate.jobs, groups=[]):
        for i, group in enumerate(("gold", "silver")):
            await Catalog(store.link).publish(group, [])
            await builders.enqueue(store, workers.run_of(), group=group)
            await gate.begins(i + 1)

    assert ["gold", "silver"] == [ctx.group for ctx in gate.begun]


async def test_fixed_groups(url: str, store: Store) -> None:
    """A worker for some groups leaves the others alone."""
    gate = Gate()
    gate.open.set()
    await Catalog(store.link).publish("silver", [])
    await builders.enqueue(store, workers.run_of(), group="silver")
    await builders.enqueue(store, workers.run_of(), group="gold")
    async with workers.working(url, gate.jobs, groups=["gold"]):
        await gate.begins()
        await workers.idle(store)

    assert ["gold"] == [ctx.group for ctx in gate.begun]


async def test_withdrawn_group(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that was withdrawn costs an idle worker no more than any other group."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.1)
    monkeypatch.setattr(registrar, "_PERIOD", 0.05)
    catalog = Catalog(store.link)
    for group in ("gold", "silver"):
        await catalog.publish(group, [])
    async with workers.working(url, Gate().jobs, groups=[]) as worker:
        await workers.idle(store, 2)
        await catalog.withdraw(["silver"])
        await store.link.command("DEL", keys.handlers("silver", worker._info.id))
        trips = workers.Trips(monkeypatch)
        await probe.until(lambda: trips.counts["block"] >= 6)

        assert trips.counts["batch"] <= 12
