"""A lost reply costs a second sending, never a second effect."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest

from rota.common import keys
from rota.common.errors import StoreUnavailable
from rota.common.link import Link, server
from rota.common.scripts import script
from rota.common.state import Operation, State
from rota.common.store import LEASE_MS, Store
from tests.support import builders, recount
from tests.support.builders import GROUP, WORKER, Seeded
from tests.support.proxy import Proxy


class Request(NamedTuple):
    """Something that is sent to the store, and what it leads to."""

    name: str
    before: State | None
    send: Callable[[Store, Seeded], Awaitable[Any]]
    after: State | None
    again: Any  # what the second sending is answered


async def _released(store: Store, seeded: Seeded) -> None:
    await store.release([seeded.run])


REQUESTS = [
    Request(
        "enqueue",
        None,
        lambda store, seeded: builders.enqueue(store, seeded.occurrence),
        State.QUEUED,
        [("duplicate", builders.occurrence().job_id)],
    ),
    Request(
        "complete",
        State.RUNNING,
        lambda store, seeded: builders.complete(store, seeded.run),
        None,
        "completed",
    ),
    Request(
        "retry",
        State.RUNNING,
        lambda store, seeded: builders.retry(store, seeded.run),
        State.RETRYING,
        "retrying",
    ),
    Request("release", State.RUNNING, _released, State.QUEUED, None),
    Request(
        "renew",
        State.RUNNING,
        lambda store, seeded: builders.renew(store, seeded.run),
        State.RUNNING,
        "renewed",
    ),
]


@asynccontextmanager
async def weak_link(url: str) -> AsyncIterator[tuple[Store, Proxy]]:
    """Connect through a proxy; the connection is open and the scripts are loaded."""
    async with Proxy(url) as proxy:
        weak = Store(Link(proxy.url))
        await weak.link.pipeline(
            [("SCRIPT", "LOAD", script(operation)[0]) for operation in Operation]
        )
        yield weak, proxy
        await weak.link.close()


async def scripts_run(store: Store) -> int:
    """Return how many scripts the server has run since its counters were reset."""
    info = await store.link.command("INFO", "commandstats")
    return int(info.get("cmdstat_evalsha", {"calls": 0})["calls"])


def leases_aside(space: dict[str, Any]) -> dict[str, Any]:
    """Return the key-space without the ends of leases, which a renewal is there to move."""
    return {name: value for name, value in space.items() if name != keys.leases(GROUP)}


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
async def test_lost_reply(store: Store, url: str, request_: Request) -> None:
    """A request whose reply is lost happened once; sent again it changes nothing more."""
    seeded = await builders.seed(store, request_.before, keep_ms=0)
    async with weak_link(url) as (weak, proxy):
        await store.link.command("CONFIG", "RESETSTAT")
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await request_.send(weak, seeded)
        runs = await scripts_run(store)
        before = await builders.snapshot(store, virtual=False)
        again = await request_.send(weak, seeded)

    assert (1, 1) == (proxy.replies_lost, runs)
    assert request_.after == await builders.state_of(store, seeded.occurrence.job_id)
    assert request_.again == again
    assert leases_aside(before) == leases_aside(await builders.snapshot(store, virtual=False))


async def test_lost_claim(store: Store, url: str) -> None:
    """Runs whose claim was lost on the way are given by the same request again, as one attempt."""
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n}") for n in range(3)))
    async with weak_link(url) as (weak, proxy):
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await builders.claim(weak, n=2, request=7)
        before = await builders.snapshot(store, virtual=False)
        again = await builders.claim(weak, n=2, request=7)

    assert 1 == proxy.replies_lost
    assert ["acme/job0", "acme/job1"] == [run.job_id.partition(":")[0] for run in again.runs]
    assert [1, 1] == [run.attempt for run in again.runs]
    assert leases_aside(before) == leases_aside(await builders.snapshot(store, virtual=False))
    assert {} == await recount.differences(store)


async def test_lost_claim_that_nobody_repeats(store: Store, url: str) -> None:
    """Runs whose claim was lost on the way are nobody's until their lease ends; then they go on.

    The attempt counts, as if the worker had died with them. Another request gives other runs.
    """
    seeded = await builders.seed(store, State.QUEUED)
    async with weak_link(url) as (weak, proxy):
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await builders.claim(weak, request=7)
        nothing = await builders.claim(weak, request=8)
    await builders.shift(store, LEASE_MS)
    taken, _ = await store.sweep(GROUP)
    (run,) = (await builders.claim(store)).runs

    assert [] == nothing.runs
    assert [(seeded.occurrence.job_id, WORKER)] == [(run.job_id, run.worker) for run in taken]
    assert 2 == run.attempt


async def test_lost_reply_of_a_push(store: Store, url: str) -> None:
    """A command that is no script is not repeated either: one token, not eleven."""
    async with weak_link(url) as (weak, proxy):
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await weak.ring(GROUP)

    assert 1 == await store.link.command("LLEN", keys.wake(GROUP))


async def test_half_open_connection(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes requests and never answers is given up in time, with one effect."""
    monkeypatch.setattr(server, "REPLY_TIMEOUT", 0.2)
    async with weak_link(url) as (weak, proxy):
        await builders.enqueue(weak, builders.occurrence(job="first"))
        proxy.swallow()
        with pytest.raises(StoreUnavailable, match="can't be reached"):
            await builders.enqueue(weak, builders.occurrence())
        proxy.swallow(on=False)
        again = await builders.enqueue(weak, builders.occurrence())

    assert [("duplicate", builders.occurrence().job_id)] == again
    assert 2 == await store.link.command("LLEN", keys.queue(GROUP, "acme"))
