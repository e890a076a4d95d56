"""When a master dies, freezes or is replaced, workers follow; who is not concerned goes on."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.errors import StoreUnavailable
from rota.common.intervention import Intervention
from rota.common.store import Store
from tests.chaos.server import Server, ask
from tests.support import builders, probe
from tests.support.builders import GROUP, WORKER
from tests.support.clusters import Cluster, group_on
from tests.support.topologies import Sentinels, Topology, opened

FOLLOW = 5.0  # seconds in which a blocked worker follows
CLOCK = SystemClock()


class Listener:
    """A worker that listens for tokens of one group; used as `async with`."""

    def __init__(self, store: Store, group: str = GROUP) -> None:
        self._store = store
        self._group = group
        self.longest_block = 0.0
        self.tokens = 0

    async def __aenter__(self) -> "Listener":
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _listen(self) -> None:
        while True:
            started = CLOCK.monotonic()
            try:
                self.tokens += await self._store.listen(self._group, "w1")
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            self.longest_block = max(self.longest_block, CLOCK.monotonic() - started)


@pytest.fixture
def doomed() -> Iterator[Sentinels]:
    """Return a master that sentinels manage, for a test that makes it fail."""
    with Sentinels() as started:
        yield started


async def strike(topology: Topology, server: Server, fault: str) -> None:
    """Let a server die or freeze."""
    if fault == "killed":
        server.kill()
    else:
        await topology.freeze(server)


@pytest.mark.parametrize("fault", ["killed", "frozen", "told to"])
async def test_sentinel_failover(doomed: Sentinels, fault: str) -> None:
    """A blocked worker follows to the new master in time, and so does all that is sent."""
    old = await doomed.master()
    async with opened(doomed.url) as store, opened(doomed.url) as other, Listener(store) as worker:
        await store.ping()
        await doomed.until_blocked(old)
        if fault == "told to":
            await doomed.fail_over()
        else:
            await strike(doomed, old, fault)
            await doomed.replaced(old)
        new = await doomed.master()
        await other.ring(GROUP)
        await probe.until(lambda: worker.tokens == 1, FOLLOW)
        answer = await builders.enqueue(store, builders.occurrence())
        there = await ask(new.port, "EXISTS", keys.run(GROUP, builders.occurrence().job_id))

    assert ("queued", 1) == (answer[0][0], there)
    assert worker.longest_block < FOLLOW


async def test_master_of_yesterday(doomed: Sentinels) -> None:
    """A master that still runs when it is replaced is left within seconds, whatever is sent."""
    old = await doomed.master()
    async with opened(doomed.url) as store:
        await store.ping()
        await doomed.fail_over()
        role = (await ask(old.port, "ROLE"))[0]
        await probe.found(lambda: _is_replaced(store, old), FOLLOW)

    assert b"master" == role  # it does not know yet


async def test_sentinels_away(sentinels: Sentinels, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the master is there, nobody misses the sentinels, nor one that is away."""
    monkeypatch.setattr("rota.common.link.sentinel.CHECK_SECONDS", 0.05)
    sentinels.sentinels[0].kill()
    async with opened(sentinels.url) as store:
        await store.ping()
        for sentinel in sentinels.sentinels[1:]:
            sentinel.kill()
        end = CLOCK.monotonic() + 0.5
        while CLOCK.monotonic() < end:  # longer than their last answer is trusted
            await store.ping()
    await sentinels.heal()


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_cluster_failover(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Groups of a dead master follow to its replica; to the other groups nothing happens."""
    monkeypatch.setattr("rota.common.link.server.REPLY_TIMEOUT", 1.0)  # as we wait for it
    hit, spared = group_on(0), group_on(1)
    old = await cluster.owner(keys.root(hit))
    async with opened(cluster.url, gate_ms=200) as store, Listener(store, hit) as worker:
        await builders.register(store, groups=(hit, spared))
        await cluster.until_blocked(old)
        over = asyncio.Event()
        work = asyncio.create_task(_bystander(store, spared, over))
        await strike(cluster, old, fault)
        first = await asyncio.gather(
            builders.enqueue(store, builders.occurrence(), group=hit), return_exceptions=True
        )
        await cluster.replaced(keys.root(hit), old)
        await probe.found(lambda: _enqueued(store, hit), FOLLOW)
        await probe.until(lambda: worker.tokens > 0, FOLLOW)
        over.set()
        calls, longest = await work

    assert isinstance(first[0], StoreUnavailable)
    assert worker.longest_block < FOLLOW
    assert 20 < calls
    assert longest < 1.0


async def test_claims_beside_a_dead_master(cluster: Cluster) -> None:
    """What a worker claims and reports in one round trip is not lost for a group that is away."""
    away, there = group_on(0), group_on(1)
    async with opened(cluster.url) as store:
        await builders.register(store, groups=(away, there))
        await store.enqueue({group: [builders.occurrence()] for group in (away, there)})
        held = (await builders.claim(store, group=away)).runs[0]
        (await cluster.owner(keys.root(away))).kill()
        words, claims = await store.exchange(
            WORKER, [builders.ended(held)], [], {away: 1, there: 1}
        )

    assert {} == words
    assert [builders.occurrence().job_id] == [run.job_id for run in claims[there].runs]
    assert [there] == list(claims)


async def test_scheduler_beside_a_dead_master(cluster: Cluster) -> None:
    """What one server took, or cancelled, is told though another one is away; alone that raises."""
    away, there = group_on(0), group_on(1)
    runs = {away: [builders.occurrence("bolt")], there: [builders.occurrence()]}
    doomed = [(group, run.job_id) for group, (run,) in runs.items()]
    async with opened(cluster.url) as store:
        intervention = Intervention(store)
        await store.enqueue(runs)
        (await cluster.owner(keys.root(away))).kill()
        answers = await store.enqueue(runs)
        with pytest.raises(StoreUnavailable):
            await store.enqueue({away: runs[away]})
        words = await intervention.cancel(doomed)
        with pytest.raises(StoreUnavailable):
            await intervention.cancel(doomed[:1])

    assert {there: [("duplicate", builders.occurrence().job_id)]} == answers
    assert {builders.occurrence().job_id: "cancelled"} == words


async def _is_replaced(store: Store, old: Server) -> bool:
    try:
        return bool(old.port != (await store.link.command("INFO", "server"))["tcp_port"])
    except StoreUnavailable:  # who waits for a reply of the old one waits no longer
        return False


async def _enqueued(store: Store, group: str) -> bool:
    try:
        run = builders.occurrence(job="next")
        return ("gated", "") not in await builders.enqueue(store, run, group=group)
    except StoreUnavailable:
        return False


async def _bystander(store: Store, group: str, over: asyncio.Event) -> tuple[int, float]:
    """Sweep a group until it is over; return how often, and what took longest, in seconds."""
    calls, longest = 0, 0.0
    while not over.is_set():
        started = CLOCK.monotonic()
        await store.sweep(group)
        calls, longest = calls + 1, max(longest, CLOCK.monotonic() - started)
        await asyncio.sleep(0.001)
    return calls, longest
