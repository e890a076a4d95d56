"""A lost reply costs a second sending, never a second effect."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from unittest.mock import ANY

import pytest

from rota.common import keys
from rota.common.calling import Calling
from rota.common.errors import StoreUnavailable
from rota.common.link import Link, server
from rota.common.scripts import (
    ATTEND,
    FORGO,
    LEAD,
    LIMITS,
    RECONCILE,
    RECORD,
    RECOUNT,
    REGISTER,
    TURN,
    script,
)
from rota.common.state import Operation, State
from rota.common.store import LEASE_MS, Store
from tests.support import builders, called, calls, recount
from tests.support.builders import DUE_MS, GROUP, HANDLER, WORKER
from tests.support.proxy import Proxy

_ENDS = {keys.leases(GROUP), keys.schedulers(GROUP), keys.workers(GROUP)}


async def nothing(store: Store) -> None:
    """Prepare nothing."""


async def time_passes(store: Store) -> None:
    """Let what rests have rested, and what is leased be abandoned."""
    await builders.shift(store, LEASE_MS)


async def somebody_leads(store: Store) -> None:
    """Let a scheduler lead the group."""
    await store.lead(GROUP, SCHEDULER, 6_000, wanted=True)


async def somebody_waits(store: Store) -> None:
    """Let a client wait for a call."""
    await Calling(store).place(GROUP, [called.call()])


async def paid_ahead(store: Store) -> None:
    """Let the tenant have paid for longer than the test lasts: then a renewal charges nothing."""
    await store.link.command("HSET", keys.run(GROUP, RUN_ID), "charged", 600_000)


async def lease_goes(store: Store) -> None:
    """Let a run have no lease, which can't happen."""
    await store.link.command("DEL", keys.leases(GROUP))


async def count_goes_wrong(store: Store) -> None:
    """Let a counter be wrong, which can't happen."""
    await store.link.command("HINCRBY", keys.root(GROUP), "running", 5)


class Request(NamedTuple):
    """A script that is run, and what it leads to."""

    script: str
    before: State | None  # the run's
    after: State | None
    again: list[Any]  # what the second sending is answered
    prepare: Callable[[Store], Awaitable[None]] = nothing
    args: Sequence[Any] | None = None  # behind the epoch; None: see `calls.arguments`

    def __str__(self) -> str:
        return f"{self.script}-{self.before}"


SCHEDULER = "s1"
RUN_ID = builders.occurrence().job_id
_ID = RUN_ID.encode()
REQUESTS = [
    Request(Operation.ENQUEUE, None, State.QUEUED, [b"duplicate", _ID]),
    Request(
        *(Operation.CLAIM, State.QUEUED, State.RUNNING),
        [b"claimed", 0, _ID, ANY, b"1", str(DUE_MS).encode(), builders.occurrence().body, 0],
    ),
    Request(Operation.RENEW, State.RUNNING, State.RUNNING, [b"renewed"], prepare=paid_ahead),
    Request(
        *(Operation.PROGRESS, State.RUNNING, State.RUNNING),
        [b"noted", b"what is committed"],
    ),
    Request(Operation.ADOPT, State.QUEUED, State.RUNNING, [b"adopted"]),
    Request(Operation.PLAN, State.RUNNING, State.RUNNING, [b"planned", b"0", b""]),
    Request(Operation.ADVANCE, State.RUNNING, None, [b"completed"]),
    Request(Operation.COMPLETE, State.RUNNING, None, [b"completed"]),
    Request(TURN, State.RUNNING, None, [b"completed", b"claimed", 0]),
    Request(Operation.RETRY, State.RUNNING, State.RETRYING, [b"retrying"]),
    Request(Operation.RELEASE, State.RUNNING, State.QUEUED, [b"stale"]),
    Request(Operation.PROMOTE, State.RETRYING, State.QUEUED, [0, -1], time_passes),
    Request(Operation.RESCUE, State.RUNNING, State.QUEUED, [-1], time_passes),
    Request(Operation.CANCEL, State.QUEUED, None, [b"over"]),
    Request(Operation.CANCEL, State.RUNNING, State.RUNNING, [b"cancelling"]),
    Request(Operation.REPLAY, State.DEAD, State.QUEUED, [b"unknown", _ID]),
    Request(Operation.PURGE, State.DEAD, None, [b"unknown"]),
    Request(Operation.CALL, None, State.QUEUED, [b"duplicate"]),
    Request(
        *(ATTEND, State.QUEUED, State.QUEUED, [b"waiting", b"", b""]),
        prepare=somebody_waits,
        args=("c2", 60_000, called.call().job_id),
    ),
    Request(
        *(FORGO, State.QUEUED, State.QUEUED, [b"forgone"]),
        prepare=somebody_waits,
        args=(called.INBOX, called.call().job_id),
    ),
    Request(
        *(LEAD, None, None, [ANY, SCHEDULER.encode(), 1]),
        args=(SCHEDULER, 6_000, 1),
    ),
    Request(
        *(LEAD, State.QUEUED, State.QUEUED, [0, b"", 0]),
        prepare=somebody_leads,
        args=(SCHEDULER, 0, 0),  # it resigns
    ),
    Request(
        *(RECONCILE, State.RUNNING, State.RUNNING, []),
        prepare=lease_goes,
        args=(LEASE_MS, "run", RUN_ID),
    ),
    Request(
        *(RECOUNT, State.RUNNING, State.RUNNING, []),
        prepare=count_goes_wrong,
        args=(1_000,),
    ),
    Request(
        *(RECORD, None, None, [b"past", b""]),
        args=(0, "acme/import", "skipped", "overlap", DUE_MS, DUE_MS + 5, 2, RUN_ID),
    ),
    Request(
        *(REGISTER, None, None, []),
        args=("w2", 30_000, b"what it tells about itself", HANDLER),
    ),
    Request(
        *(LIMITS, State.RUNNING, State.RUNNING, []),
        args=(
            *("group", "", 2.0, 5, 0, 1, 0),
            *("handler", HANDLER, 1, 3, 0, 1, 0),
            *("tenant", "acme", 4.0, 2, 600.0, 3, 100),
        ),
    ),
]


@asynccontextmanager
async def weak_link(url: str) -> AsyncIterator[tuple[Store, Proxy]]:
    """Connect through a proxy; the connection is open and the scripts are loaded."""
    async with Proxy(url) as proxy:
        weak = Store(Link(proxy.url))
        await weak.link.pipeline([("SCRIPT", "LOAD", script(name)[0]) for name in calls.SCRIPTS])
        yield weak, proxy
        await weak.link.close()


async def scripts_run(store: Store) -> int:
    """Return how many scripts the server has run since its counters were reset."""
    info = await store.link.command("INFO", "commandstats")
    return int(info.get("cmdstat_evalsha", {"calls": 0})["calls"])


def leases_aside(space: dict[str, Any]) -> dict[str, Any]:
    """Return the key-space without the ends of leases, which a renewal is there to move.

    Nor with the times until which schedulers lead, and they and workers count as alive.
    """
    kept = {name: value for name, value in space.items() if name not in _ENDS}
    kind, fields = kept[keys.root(GROUP)]
    rest = {field: value for field, value in fields.items() if field != b"led_until"}
    return kept | {keys.root(GROUP): (kind, rest)}


def test_every_script_has_a_case() -> None:
    """No script is left out, and none that somebody adds can be."""
    assert calls.SCRIPTS == sorted({request.script for request in REQUESTS})


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
async def test_lost_reply(store: Store, url: str, request_: Request) -> None:
    """A request whose reply is lost happened once; sent again it changes nothing more."""
    seeded = await builders.seed(store, request_.before, keep_ms=0)
    await request_.prepare(store)
    args = request_.args
    if args is None:
        args = calls.arguments(request_.script, seeded)
    call = (request_.script, GROUP, args)
    untouched = leases_aside(await builders.snapshot(store, virtual=False))
    async with weak_link(url) as (weak, proxy):
        await store.link.command("CONFIG", "RESETSTAT")
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await weak.ask([call])
        runs = await scripts_run(store)
        before = leases_aside(await builders.snapshot(store, virtual=False))
        again = (await weak.ask([call]))[0].values

    assert (1, 1) == (proxy.replies_lost, runs)
    assert (request_.script == Operation.RENEW) == (before == untouched)
    assert request_.after == await builders.state_of(store, RUN_ID)
    assert request_.again == again
    assert before == leases_aside(await builders.snapshot(store, virtual=False))
    assert {} == await recount.differences(store)


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
