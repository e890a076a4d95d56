"""A Redis Cluster: a batch over several servers, and groups that move between them."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.errors import StoreError, StoreUnavailable
from rota.common.link import Call
from rota.common.run import Ended, Occurrence
from rota.common.state import Operation
from rota.common.store import Store
from tests.chaos.server import Server
from tests.support import builders
from tests.support.builders import WORKER
from tests.support.clusters import Cluster, group_on, third_of
from tests.support.topologies import opened


async def sides(cluster: Cluster, group: str) -> tuple[Server, Server]:
    """Return the master of a group, and another one."""
    source = await cluster.owner(keys.root(group))
    return source, await cluster.owner(keys.root(group_on((third_of(group) + 1) % 3)))


async def test_forgotten_scripts(cluster: Cluster) -> None:
    """Each server is given the scripts that it does not know; the caller does not notice."""
    async with opened(cluster.url) as store:
        known, unknown = group_on(0), group_on(1)
        await store.sweep(known)
        replies = await store.link.batch(
            [Call(Operation.PROMOTE, keys.root(group), (0, 1)) for group in (unknown, known)]
        )

    assert [[0, -1], [0, -1]] == [values for _, _, *values in replies]


async def test_order_over_servers(cluster: Cluster) -> None:
    """Calls on groups of all servers in one batch are answered in the order of the calls."""
    groups = [group_on(third) for third in (2, 0, 1, 0, 2)]
    runs = [builders.occurrence(job=f"job{n}") for n in range(5)]
    async with opened(cluster.url) as store:
        replies = await store.link.batch(
            [
                Call(Operation.ENQUEUE, keys.root(group), (0, 0, *run))
                for group, run in zip(groups, runs, strict=True)
            ]
        )
        await store.link.pipeline([("SET", f"key{n}", n) for n in range(50)])
        values = await store.link.pipeline([("GET", f"key{n}") for n in range(50)])

    assert [[b"queued", run.job_id.encode()] for run in runs] == [v for _, _, *v in replies]
    assert [str(n).encode() for n in range(50)] == values


async def test_moved_slot(cluster: Cluster) -> None:
    """When a group has moved to another server, nobody notices, not even who listens."""
    group = group_on(0)
    source, target = await sides(cluster, group)
    async with opened(cluster.url, gate_ms=1) as store:
        await builders.enqueue(store, builders.occurrence(), group=group)
        await store.link.command("DEL", keys.wake(group))
        listening = asyncio.create_task(store.listen(group, "w1"))
        await cluster.until_blocked(source)
        await cluster.move(keys.root(group), target)
        later = builders.occurrence(job="later")
        while ("gated", "") in await builders.enqueue(store, later, group=group):
            pass
        woken = await listening
        counts = await Catalog(store.link).counts(group)
    await cluster.move(keys.root(group), source)

    assert (True, 2) == (woken, counts.queued)


async def test_commands_while_a_slot_moves(cluster: Cluster) -> None:
    """While a group moves, commands find each key where it is, and scripts do nothing at all."""
    group = group_on(1)
    source, target = await sides(cluster, group)
    async with opened(cluster.url, gate_ms=1) as store:
        catalog = Catalog(store.link)
        await builders.enqueue(store, builders.occurrence(), group=group)
        await store.link.command("DEL", keys.wake(group))
        await cluster.begin_move(keys.root(group), target)
        before = (await catalog.counts(group)).queued
        with pytest.raises(StoreUnavailable, match="moving"):
            await builders.enqueue(store, builders.occurrence(job="unfortunate"), group=group)
        await store.ring(group)  # makes a key, which is thus made at the target
        with pytest.raises(StoreUnavailable, match="moving"):
            await store.listen(group, "w1")  # of the two keys that it waits for one is nowhere
        moved = await cluster.move_keys(keys.root(group), source, target)
        with pytest.raises(StoreUnavailable, match="moving"):
            await builders.enqueue(store, builders.occurrence(job="unfortunate"), group=group)
        await cluster.end_move(keys.root(group), source, target)
        job_id = builders.occurrence(job="unfortunate").job_id
        traces = await store.link.command("EXISTS", keys.run(group, job_id))
        after = await catalog.counts(group)
        again = [("gated", "")]
        while again == [("gated", "")]:
            again = await builders.enqueue(store, builders.occurrence(), group=group)
    await cluster.move(keys.root(group), source)

    assert (1, 0, 1) == (before, traces, after.queued)
    assert 4 <= moved
    assert "duplicate" == again[0][0]


async def test_work_while_a_slot_moves(cluster: Cluster) -> None:
    """Work goes on when its group has moved: nothing is lost, nothing doubled, no other error."""
    group = group_on(2)
    source, target = await sides(cluster, group)
    wanted = [builders.occurrence(f"tenant{n % 7}", f"job{n}") for n in range(300)]
    async with opened(cluster.url, gate_ms=200) as store:
        await builders.register(store, groups=(group,))
        work = asyncio.gather(_produce(store, group, wanted), _consume(store, group, 300))
        for there, here in ((target, source), (source, target)):
            await cluster.begin_move(keys.root(group), there)
            while await cluster.move_keys(keys.root(group), here, there, 20):
                pass
            await cluster.end_move(keys.root(group), here, there)
        refused = sum(await work)
        _, told = await store.completions(group, "0")
        counts = await Catalog(store.link).counts(group)

    assert sorted(run.job_id for run in wanted) == sorted(done.job_id for done, _ in told)
    assert {1} == {done.attempt for done, _ in told}
    assert (0, 0) == (counts.queued, counts.running)
    assert 0 < refused


async def _produce(store: Store, group: str, runs: list[Occurrence]) -> int:
    """Enqueue runs one by one; return how often that was refused."""

    async def send(run: Occurrence) -> None:
        if ("gated", "") in await builders.enqueue(store, run, group=group):
            raise StoreUnavailable("the slot has come to another server, whose gate is open")

    return sum([await _persist(partial(send, run)) for run in runs])


async def _consume(store: Store, group: str, count: int) -> int:
    """Claim and complete `count` runs; return how often that was refused."""
    refused, done = 0, 0
    ended: list[Ended] = []

    async def turn() -> None:
        nonlocal ended, done
        words, claims = await store.exchange(WORKER, ended, [], {group: 5})
        done += len(words)
        ended = [end for end in ended if end.run.job_id not in words]
        ended += [builders.ended(run) for claim in claims.values() for run in claim.runs]

    while done < count:
        refused += await _persist(turn)
    return refused


async def _persist(send: Callable[[], Awaitable[object]]) -> int:
    """Send until it is taken; return how often it was refused."""
    for refused in range(10_000):
        try:
            await send()
        except StoreUnavailable:
            await asyncio.sleep(0.001)
        else:
            return refused
    raise AssertionError("refused for ever")


async def test_part_of_a_cluster(cluster: Cluster) -> None:
    """A server of a cluster that is addressed as a single one says how to address it."""
    async with opened(f"redis://127.0.0.1:{cluster.servers[0].port}") as store:
        with pytest.raises(StoreError, match=r"redis\+cluster"):
            await store.enqueue({group_on(n): [builders.occurrence()] for n in range(3)})
