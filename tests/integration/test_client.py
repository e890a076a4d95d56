"""Calls from a client to workers: a result or the error, once and in time, whatever breaks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest

from rota.client import CallFailed, CallLost, CallTimeout, Client, SyncClient
from rota.common import keys
from rota.common.errors import NotFound, Refused, UsageError
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.message import MAX_REQUEST_BYTES
from rota.common.store import Store
from rota.scheduler import canceller
from rota.worker import Context, Jobs, TaskSpec
from tests.support import probe
from tests.support.builders import GROUP, Clock
from tests.support.proxy import Proxy
from tests.support.serving import Count, begun, serving
from tests.support.workers import working


class Orders(Protocol):
    """The contract of `Service`."""

    async def load(self, source: str, limit: int = 100) -> Count:
        """Load orders."""
        ...

    async def refuse(self) -> None:
        """Fail."""
        ...


class SyncOrders(Protocol):
    """The same for threads."""

    def load(self, source: str, limit: int = 100) -> Count:
        """Load orders."""
        ...


async def test_typed_service(url: str) -> None:
    """A method of a contract takes its types and gives its types, as if it were here."""
    async with serving(url), Client(url, group=GROUP) as client:
        orders = client.service(Orders, tenant="acme")

        assert Count("eu", 100) == await orders.load("eu")
        assert Count("us", 5) == await orders.load(source="us", limit=5)
        with pytest.raises(TypeError, match="source"):
            await orders.load()  # type: ignore[call-arg]


async def test_remote_error(url: str) -> None:
    """Who calls a handler that fails gets the error's kind, text and traceback, and at once."""
    async with serving(url), Client(url, group=GROUP) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("orders.refuse", tenant="acme")

    error = caught.value

    assert ("KeyError", "'sku-17'", 1, "dead") == (
        *(error.kind, error.message, error.attempt, error.outcome),
    )
    assert 'raise KeyError("sku-17")' in error.traceback


async def test_wrong_arguments(url: str) -> None:
    """Arguments that don't fit the handler are an error that names them."""
    async with serving(url), Client(url, group=GROUP) as client:
        with pytest.raises(CallFailed, match=r"BadArguments: .*sauce"):
            await client.call("orders.load", tenant="acme", sauce="eu", limit=1)


async def test_tried_again(url: str) -> None:
    """A call is tried as often as its caller says: once if that says nothing."""
    async with serving(url), Client(url, group=GROUP) as client:
        with pytest.raises(CallFailed, match="OSError"):
            await client.call("orders.twice", tenant="acme")
        again = asyncio.create_task(client.call("orders.twice", tenant="acme", attempts=2))
        store = Store(client._link)

        async def swept() -> bool:
            await store.sweep(GROUP)  # as a scheduler does
            return again.done()

        await probe.found(swept)

        assert 2 == await again


async def test_too_late(url: str) -> None:
    """A caller waits no longer than it says; the handler is told to end, and what waits ends."""
    async with serving(url, concurrency=1) as service, Client(url, group=GROUP) as client:
        first = asyncio.create_task(client.call("orders.wait", tenant="acme", timeout=30))
        job_id = await begun(service)
        with pytest.raises(CallTimeout, match=r"no reply in 0\.05 s"):
            await client.call("orders.wait", tenant="acme", timeout=0.05)
        first.cancel()
        await asyncio.wait([first])
        await probe.until(lambda: service.cancelled)
        service.free.set()

        assert 3 == await client.call("orders.wait", tenant="acme", n=3)
        assert [job_id] == service.cancelled
        assert 2 == len(service.begun)


async def test_planner(url: str, store: Store) -> None:
    """Who calls a planner waits for all its tasks; when he gives up, no other one begins."""
    jobs, begun_tasks, free = Jobs(), list[str](), asyncio.Event()

    @jobs.planner("orders.plan", tasks="orders.bill")
    async def plan(ctx: Context, shops: int) -> AsyncIterator[TaskSpec]:
        for shop in range(shops):
            yield TaskSpec(key=f"shop-{shop}", size=1, args={"shop": shop})

    @jobs.handler("orders.bill")
    async def bill(ctx: Context, parts: list[dict[str, int]]) -> None:
        begun_tasks.append(ctx.job_id)
        await free.wait()

    async with working(url, jobs, concurrency=2), Client(url, group=GROUP) as client:
        with pytest.raises(CallTimeout):
            await client.call("orders.plan", tenant="acme", shops=20, timeout=0.5)
        planned = keys.run(GROUP, begun_tasks[0].partition("#")[0])
        await probe.found(lambda: store.link.command("HGET", planned, "completion"))
        free.set()
        reply = await client.call("orders.plan", tenant="acme", shops=3)

    assert ({"tasks": 3, "cancelled": 0}, 2 + 3) == (reply, len(begun_tasks))


async def test_caller_dies(url: str) -> None:
    """The time of a caller that died goes on: when it is over its handler ends."""
    async with Proxy(url) as proxy, serving(url) as service:
        dying = Client(proxy.url, group=GROUP)
        call = asyncio.create_task(dying.call("orders.wait", tenant="acme", timeout=0.5))
        job_id = await begun(service)
        await proxy.cut()
        await probe.until(lambda: service.cancelled)
        async with Client(url, group=GROUP) as client:
            with pytest.raises(CallTimeout, match="its caller's time was over"):
                await client.wait(job_id)
        await asyncio.wait([call])
        await dying.close()


async def test_no_worker(url: str) -> None:
    """A call to nobody ends in time, and is not carried out by who comes later."""
    async with Client(url, group=GROUP) as client:
        with pytest.raises(CallTimeout, match=r"no live worker serves orders\.wait"):
            await client.call("orders.wait", tenant="acme", timeout=0.05)
        async with serving(url) as service:
            service.free.set()

            assert 4 == await client.call("orders.wait", tenant="acme", n=4)
            assert 1 == len(service.begun)


async def test_lost_read(url: str) -> None:
    """A reply that was on its way when the connection broke comes all the same."""
    async with Proxy(url) as proxy, serving(url) as service, Client(proxy.url, group=GROUP) as far:
        call = asyncio.create_task(far.call("orders.wait", tenant="acme", n=7))
        await begun(service)
        proxy.lose_reply()
        service.free.set()

        assert 7 == await asyncio.wait_for(call, 8)
        assert 1 == proxy.replies_lost
        assert 1 == len(service.begun)


async def test_lost_connection(url: str) -> None:
    """Callers who are cut off, whatever they were at, get each reply when they are back."""
    async with Proxy(url) as proxy, serving(url) as service, Client(proxy.url, group=GROUP) as far:
        calls = [asyncio.create_task(far.call("orders.wait", tenant="acme", n=n)) for n in (1, 2)]
        await begun(service, 2)
        await proxy.cut()
        service.free.set()
        calls.append(asyncio.create_task(far.call("orders.wait", tenant="acme", n=3)))
        await proxy.mend()

        assert [1, 2, 3] == await asyncio.wait_for(asyncio.gather(*calls), 20)
        assert 3 == len(service.begun)


async def test_caller_comes_back(url: str) -> None:
    """A caller that died gets its reply under the key, or the job_id, of its call: once begun."""
    async with serving(url) as service, Proxy(url) as proxy:
        dying = Client(proxy.url, group=GROUP)
        calls = asyncio.create_task(dying.call("orders.wait", tenant="acme", key="n-17", n=9))
        job_id = await begun(service)
        await proxy.cut()
        async with Client(url, group=GROUP) as client:
            again = asyncio.create_task(client.call("orders.wait", tenant="acme", key="n-17"))
            waits = asyncio.create_task(client.wait(job_id, returns=int))
            service.free.set()

            assert [9, 9] == [await asyncio.wait_for(each, 8) for each in (again, waits)]
            assert 9 == await client.call("orders.wait", tenant="acme", key="n-17")
            assert [job_id] == service.begun
        calls.cancel()
        await asyncio.wait([calls])
        await dying.close()


async def test_key_of_one_whose_time_is_over(url: str) -> None:
    """Who makes a call again with more time than its first caller had gets its reply."""
    async with serving(url) as service, Client(url, group=GROUP) as client:
        options: dict[str, Any] = {"tenant": "acme", "key": "n-17", "n": 9}
        short = asyncio.create_task(client.call("orders.wait", timeout=0.5, **options))
        await begun(service)
        joins = asyncio.create_task(client.call("orders.wait", timeout=20, **options))
        await asyncio.wait([short])
        await begun(service, 2)
        service.free.set()

        assert isinstance(short.exception(), CallTimeout)
        assert 9 == await asyncio.wait_for(joins, 8)
        assert 9 == await client.call("orders.wait", **options)
        assert 2 == len(service.begun)


async def test_key_of_one_that_was_over(url: str) -> None:
    """A client that gave a call up and makes it again hears of the second one, not of the first."""
    async with serving(url) as service, Client(url, group=GROUP) as client:
        options: dict[str, Any] = {"tenant": "acme", "key": "n-17", "n": 9}
        with pytest.raises(CallTimeout):
            await client.call("orders.wait", timeout=0.3, **options)
        await probe.until(lambda: service.cancelled)
        service.free.set()

        assert 9 == await asyncio.wait_for(client.call("orders.wait", **options), 8)
        assert 2 == len(service.begun)


async def test_no_reply_wanted(url: str) -> None:
    """A call without a reply is accepted at once; who wants to know can wait for it later."""
    async with serving(url) as service, Client(url, group=GROUP) as client:
        job_id = await client.enqueue("orders.wait", tenant="acme", n=5)
        service.free.set()

        assert 5 == await client.wait(job_id)
        with pytest.raises(NotFound):
            await client.wait("acme/@orders.wait:call-never")


async def test_refused(url: str, store: Store) -> None:
    """A call beyond its tenant's backlog is refused at once."""
    limits = GroupLimits(tenants={"acme": TenantLimits(max_backlog=1)})
    await Limiter(store).limit(GROUP, limits)
    async with Client(url, group=GROUP) as client:
        await client.enqueue("orders.load", tenant="acme")
        with pytest.raises(Refused, match="max_backlog"):
            await client.call("orders.load", tenant="acme")


async def test_group_of_a_tenant(url: str, store: Store) -> None:
    """The group follows from the tenant, if it is known to the store; else one has to say it."""
    await store.link.command("SADD", keys.groups(), GROUP, "silver")
    async with serving(url), Client(url) as client:
        with pytest.raises(NotFound, match="tenant acme is known in no group"):
            await client.call("orders.load", tenant="acme", source="eu", limit=1)
        await store.link.command("HSET", keys.jobs(GROUP), "acme/import", b"")

        assert {"source": "eu", "orders": 1} == await client.call(
            "orders.load", tenant="acme", source="eu", limit=1
        )


async def test_unknown_group(url: str, store: Store) -> None:
    """Who writes the name of a group wrong hears of it at once."""
    await store.link.command("SADD", keys.groups(), GROUP)
    async with serving(url), Client(url, group=GROUP) as client:
        with pytest.raises(NotFound, match="group gols: no configuration has it"):
            await client.call("orders.load", tenant="acme", group="gols", source="eu", limit=1)

        assert await client.call("orders.load", tenant="acme", source="eu", limit=1)


async def test_unserved(url: str) -> None:
    """A call of a handler that nobody serves says so when its time is over; no other call does."""
    async with serving(url), Client(url, group=GROUP) as client:
        with pytest.raises(CallTimeout, match=r"no live worker serves orders\.lode$"):
            await client.call("orders.lode", tenant="acme", timeout=0.05)
        assert await client.call("orders.load", tenant="acme", source="eu", limit=1)
        with pytest.raises(CallTimeout, match=r"no reply in 0\.05 s$"):
            await client.call("orders.wait", tenant="acme", timeout=0.05)


async def test_time_as_text(url: str) -> None:
    """A time may be written as everywhere else; what can't be understood is refused."""
    async with serving(url), Client(url, group=GROUP) as client:
        options: dict[str, Any] = {"tenant": "acme", "source": "eu", "limit": 1}

        assert await client.call("orders.load", timeout="5s", **options)
        job_id = await client.enqueue("orders.load", run_timeout="1m", expires="1h", **options)
        assert await client.wait(job_id, timeout="5s")
        wrong: Any
        for wrong in ("soon", "", None, []):
            with pytest.raises(UsageError):
                await client.call("orders.load", timeout=wrong, **options)


async def test_due_when_called(url: str) -> None:
    """A call is due when it was called, under a key or not, for its handler."""
    jobs, clock = Jobs(), Clock()

    @jobs.handler("orders.due")
    async def due(ctx: Context) -> int:
        return ctx.due_ms

    async with working(url, jobs), Client(url, group=GROUP, clock=clock) as client:
        for key in (None, "n-17"):
            assert clock.now_ms() == await client.call("orders.due", tenant="acme", key=key)


async def test_unsendable(url: str) -> None:
    """What can't be sent is refused here, with the reason."""
    async with Client(url, group=GROUP) as client:
        with pytest.raises(UsageError, match="can't be sent"):
            await client.call("orders.load", tenant="acme", source=object())
        with pytest.raises(UsageError, match="bytes, more than"):
            await client.call("orders.load", tenant="acme", source="x" * MAX_REQUEST_BYTES)
        with pytest.raises(UsageError, match="tenant"):
            await client.call("orders.load", tenant="a/b")
        with pytest.raises(UsageError, match="group"):
            await client.call("orders.load", tenant="acme", group="a}b")
        for run in ("acme/import:20261123T020000Z", "acme/@orders.load:call-1#1.2", "acme"):
            with pytest.raises(UsageError, match="is not the job_id of a call"):
                await client.wait(run)
    with pytest.raises(UsageError, match="closed"):
        await client.call("orders.load", tenant="acme")


async def test_sync_door(url: str) -> None:
    """Threads call as coroutines do, through one client."""

    def calls() -> list[Any]:
        with SyncClient(url, group=GROUP) as client:
            orders = client.service(SyncOrders, tenant="acme", name="orders")
            with pytest.raises(CallFailed, match="KeyError"):
                client.call("orders.refuse", tenant="acme")
            job_id = client.enqueue("orders.load", tenant="acme", source="eu", limit=1)
            return [orders.load("us", 2), client.wait(job_id, returns=Count)]

    async with serving(url):
        assert [Count("us", 2), Count("eu", 1)] == await asyncio.to_thread(calls)


async def test_many(url: str) -> None:
    """Ten thousand calls of one client are under way at a time; each gets its own reply."""
    async with serving(url, concurrency=64) as service, Client(url, group=GROUP) as client:
        count = 10_000
        calls = [
            asyncio.create_task(client.call("orders.wait", tenant="acme", timeout=60, n=n))
            for n in range(count)
        ]
        await begun(service, 64)
        service.free.set()

        assert list(range(count)) == await asyncio.gather(*calls)
        assert count == len(set(service.begun))


async def test_cancelled_by_hand(url: str, store: Store) -> None:
    """A call that an operator cancels, in its queue or while it runs, tells its caller so."""
    await store.link.command("SADD", keys.groups(), GROUP)
    async with serving(url, concurrency=1) as service, Client(url, group=GROUP) as client:
        names = ("first", "second")
        calls = [
            asyncio.create_task(client.call("orders.wait", tenant="acme", key=name))
            for name in names
        ]
        running = await begun(service)
        (queued,) = {f"acme/@orders.wait:key-{name}" for name in names} - {running}
        words = [await canceller.cancel(job_id, store.link) for job_id in (queued, running)]
        ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 8)

    assert ["cancelled", "cancelling"] == words
    assert ["cancelled"] * 2 == [end.outcome for end in ends if isinstance(end, CallFailed)]


async def test_lost_call(url: str, store: Store) -> None:
    """Whose call the store has lost is told so, and does not wait until its time is over."""
    clock = Clock()
    async with serving(url) as service, Client(url, group=GROUP, clock=clock) as client:
        call = asyncio.create_task(client.call("orders.wait", tenant="acme"))
        record = keys.run(GROUP, await begun(service))
        inbox = (await store.link.command("HGET", record, "reply")).decode()
        await store.link.command("DEL", record)

        async def told() -> bool:
            clock.advance(11.0)  # after which it asks for what has not come
            await store.link.command("RPUSH", keys.inbox(GROUP, inbox), "another", "", "")
            return call.done()

        await probe.found(told)
        with pytest.raises(CallLost, match="whether it was carried out is unknown"):
            await call
        service.free.set()
