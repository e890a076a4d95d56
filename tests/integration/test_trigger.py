"""A job is run by hand: once, never beside another run, and in no occurrence's place."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.errors import NotFound, Refused, StoreUnavailable
from rota.common.job import Job, Retry
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.link import Link
from rota.common.scripts import GATE_MS
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler import trigger
from rota.scheduler.trigger import Ended
from rota.worker import Context, Fatal, Jobs
from tests.support import builders, probe, schedulers
from tests.support.builders import DUE_MS, GROUP, HANDLER, Clock
from tests.support.definitions import job
from tests.support.gate import Gate
from tests.support.proxy import Proxy
from tests.support.workers import working

REF = "acme/import"
WaitedFor = tuple[str, asyncio.Task[tuple[str, Ended | None]]]
handlers = Jobs()


@handlers.handler(HANDLER)
async def import_orders(ctx: Context, source: str = "web") -> dict[str, Any]:
    """Return what it was told."""
    return {"source": source, "due_ms": ctx.due_ms, "attempt": ctx.attempt}


@handlers.handler("fail-once")
async def fail_once(ctx: Context) -> None:
    """Fail the first time."""
    if ctx.attempt == 1:
        raise RuntimeError("the first time")


@handlers.handler("give-up")
async def give_up(ctx: Context) -> None:
    """Fail for good."""
    raise Fatal("no such customer")


async def publish(store: Store, **over: Any) -> Job:
    """Make the job acme/import known."""
    each = job(every="1h", **over)
    await Catalog(store.link).publish(GROUP, [each])
    return each


async def start(
    url: str, ref: str = REF, *, wait: bool = True, gate_ms: int = GATE_MS, timeout_ms: int = 0
) -> tuple[str, Ended | None]:
    """Trigger a job as the command does."""
    link = Link(url, gate_ms=gate_ms)
    try:
        return await trigger.start(ref, link, wait=wait, timeout_ms=timeout_ms)
    finally:
        await link.close()


async def run_it(url: str, store: Store, **over: Any) -> Ended:
    """Trigger a job while a worker is there, and return how its run ended."""
    await publish(store, **over)
    async with working(url, handlers):
        _, ended = await start(url)
    assert ended is not None
    return ended


async def test_queued(url: str, store: Store) -> None:
    """Triggering enqueues one run, marked as manual, and returns its id at once."""
    await publish(store)
    run_id, ended = await start(url, wait=False)

    assert run_id.startswith("acme/import:manual-")
    assert ended is None
    assert {"acme": 1} == await Catalog(store.link).queued(GROUP)
    assert b"queued" == (await Catalog(store.link).run(GROUP, run_id))["state"]


async def test_no_occurrence(store: Store) -> None:
    """A manual run stands for no occurrence: the job is due afterwards as if it had not been."""
    each = await publish(store)
    await builders.register(store)
    run_id = await trigger.trigger(each, store=store, clock=Clock(DUE_MS))
    manual = (await builders.claim(store)).runs[0]
    await builders.complete(store, manual)
    words = await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS - 1))

    assert (run_id, 0) == (manual.job_id, manual.due_ms)
    assert ["queued"] == [word for word, _ in words]


async def test_busy(url: str, store: Store) -> None:
    """While a run is in flight nothing is triggered, and the refusal names that run."""
    await publish(store)
    run = builders.occurrence()
    await builders.enqueue(store, run)
    with pytest.raises(Refused, match=run.job_id) as caught:
        await start(url, wait=False)

    assert 6 == caught.value.exit_code
    assert {"acme": 1} == await Catalog(store.link).queued(GROUP)


async def test_shed(url: str, store: Store) -> None:
    """A run beyond the tenant's max_backlog is refused, with the reason."""
    await publish(store)
    limits = GroupLimits(tenants={"acme": TenantLimits(max_backlog=1)})
    await Limiter(store).limit(GROUP, limits)
    await builders.enqueue(store, builders.occurrence(job="other"))
    with pytest.raises(Refused, match="acme has as many queued runs as its max_backlog allows"):
        await start(url, wait=False)


@pytest.mark.parametrize("overlap", ["skip", "cancel"])
async def test_busy_is_not_cancelled(url: str, store: Store, overlap: str) -> None:
    """A trigger cancels nothing, whatever the job does when it is due; the refusal says who can."""
    await publish(store, overlap=overlap)
    run = builders.occurrence()
    await builders.enqueue(store, run)
    with pytest.raises(
        Refused, match=f"a trigger never cancels; `sched cancel {run.job_id}` ends it"
    ):
        await start(url, wait=False)

    assert State.QUEUED is await builders.state_of(store, run.job_id)


@pytest.mark.parametrize("ref", ["acme/nothing", "nobody/import"])
async def test_unknown(url: str, store: Store, ref: str) -> None:
    """A job that the store does not know is not found, and the message says what to do."""
    await publish(store)
    with pytest.raises(NotFound, match=f"(?s){ref}.*sched run") as caught:
        await start(url, ref)

    assert 5 == caught.value.exit_code


async def test_result(url: str, store: Store) -> None:
    """Who waits is told how the run ended and what the handler returned."""
    ended = await run_it(url, store, args={"source": "ftp"})

    assert ("succeeded", 1, None) == (ended.outcome, ended.attempt, ended.error)
    assert "ftp" == ended.result["source"]
    assert ended.job_id in ended.text()
    assert '"source":"ftp"' in ended.text()


async def test_due_time(url: str, store: Store) -> None:
    """The handler of a manual run is told as due time when it was triggered."""
    ended = await run_it(url, store)
    seconds, micros = await store.link.command("TIME")

    assert 0 <= int(seconds) * 1000 + int(micros) // 1000 - ended.result["due_ms"] < 60_000


async def test_retries(url: str, store: Store) -> None:
    """Who waits is told how the run ended in the end, not of an attempt that is followed by one."""
    await publish(store, handler="fail-once", retry=Retry(backoff_ms=20))

    async def sweep() -> None:
        while True:
            _, seconds = await store.sweep(GROUP)
            await asyncio.sleep(min(seconds, 0.01))

    async with working(url, handlers):
        sweeper = asyncio.create_task(sweep())
        _, ended = await start(url)
        sweeper.cancel()
        await asyncio.wait([sweeper])

    assert ended is not None
    assert ("succeeded", 2) == (ended.outcome, ended.attempt)


async def test_failure(url: str, store: Store) -> None:
    """Who waits is told why a run failed."""
    ended = await run_it(url, store, handler="give-up")

    assert "dead" == ended.outcome
    assert ended.error is not None
    assert ("Fatal", "no such customer") == (ended.error.kind, ended.error.message)
    assert "Fatal: no such customer" in ended.text()
    assert msgspec.json.decode(msgspec.json.encode(ended))["error"]["kind"] == "Fatal"


async def test_nobody_serves(url: str, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Who waits for a handler that no worker serves is told so, once, and served when one comes.

    Other jobs of the group complete all the time.
    """
    await publish(store)
    said: list[str] = []

    def hinted() -> bool:
        said.append(capsys.readouterr().err)
        return bool(said[-1])

    others = asyncio.create_task(complete_others(store))
    waiting = asyncio.create_task(start(url))
    await probe.until(hinted)
    others.cancel()
    await asyncio.wait([others])
    async with working(url, handlers):
        _, ended = await waiting

    assert f"waiting: no worker serves {HANDLER} in group {GROUP} yet\n" == "".join(said)
    assert "" == capsys.readouterr().err
    assert ended is not None
    assert "succeeded" == ended.outcome


@asynccontextmanager
async def waited_for(url: str, store: Store, gate_ms: int) -> AsyncIterator[WaitedFor]:
    """Trigger acme/import and wait for it; return its job_id and the waiting."""
    await publish(store)
    waiting = asyncio.create_task(start(url, gate_ms=gate_ms))

    async def enqueued() -> str | None:
        return (await schedulers.slot(store)).run

    try:
        yield str(await probe.found(enqueued)), waiting
    finally:
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_no_longer_than(url: str, store: Store) -> None:
    """Who waits no longer than so long has the job_id; the run goes on, and can be waited for."""
    await publish(store)
    run_id, ended = await start(url, timeout_ms=200)

    assert ended is None
    assert State.QUEUED is await builders.state_of(store, run_id)


async def test_over_in_time(url: str, store: Store) -> None:
    """A run that is over before that is told as ever."""
    await publish(store)
    async with working(url, handlers):
        _, ended = await start(url, timeout_ms=60_000)

    assert ended is not None
    assert "succeeded" == ended.outcome


async def test_lost(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a run that the store has lost is told so when its gate has closed."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.05)
    async with waited_for(url, store, gate_ms=500) as (run_id, waiting):
        await store.link.command("FLUSHALL")
        with pytest.raises(NotFound, match=f"lost {run_id}.*unknown") as caught:
            await asyncio.wait_for(waiting, 5.0)
        closed_ms = int(await store.link.command("HGET", keys.root(GROUP), "gate"))
        seconds, _ = await store.link.command("TIME")

    assert 5 == caught.value.exit_code
    assert 0 < closed_ms <= (int(seconds) + 1) * 1000


async def test_lost_and_brought_back(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a run that the store has lost, and a worker brings back, is told its end."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.05)
    gate = Gate()
    async with (
        working(url, gate.jobs, lease_ms=2_000, gate_ms=3_000),
        waited_for(url, store, gate_ms=3_000) as (run_id, waiting),
    ):
        await gate.begins()
        await store.link.command("FLUSHALL")

        async def adopted() -> bool:
            return await builders.state_of(store, run_id) is State.RUNNING

        await probe.found(adopted)
        gate.open.set()
        _, ended = await asyncio.wait_for(waiting, 5.0)

    assert ended is not None
    assert (run_id, "succeeded") == (ended.job_id, ended.outcome)


async def test_store_goes_away(url: str, store: Store) -> None:
    """Who waits when the store goes away is told which run was triggered."""
    async with Proxy(url) as proxy, waited_for(proxy.url, store, GATE_MS) as (run_id, waiting):
        await proxy.cut()
        with pytest.raises(StoreUnavailable, match=run_id) as caught:
            await asyncio.wait_for(waiting, 5.0)

    assert 4 == caught.value.exit_code


async def test_completion_lost(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a run of which only the outcome is left is told that one."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.05)
    async with waited_for(url, store, gate_ms=500) as (run_id, waiting):
        slot = keys.slot(GROUP, REF)
        await store.link.pipeline(
            [
                ("HSET", slot, "last", run_id, "outcome", "dead"),
                ("HDEL", slot, "run"),
                ("DEL", keys.run(GROUP, run_id)),
            ]
        )
        with pytest.raises(NotFound, match=f"{run_id} has ended .dead."):
            await asyncio.wait_for(waiting, 5.0)


async def complete_others(store: Store) -> None:
    """Enqueue and complete runs of another job, one after the other."""
    await builders.register(store, "w1", "noise")
    for number in itertools.count(DUE_MS):
        run = builders.occurrence("bolt", "noise", number, handler="noise")
        await builders.enqueue(store, run)
        for claimed in (await builders.claim(store)).runs:
            await builders.complete(store, claimed)
        await asyncio.sleep(0.01)
