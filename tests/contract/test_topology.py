"""A store of one server, one that sentinels manage and a cluster: callers see no difference."""

import asyncio
from collections.abc import Iterator

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.embedded import EmbeddedStore, free_port
from rota.common.errors import StoreUnavailable
from rota.common.job import Job, Schedule
from rota.common.registration import Registration
from tests.chaos.server import ask
from tests.support import builders
from tests.support.builders import HOUR_MS, WORKER
from tests.support.clusters import Cluster
from tests.support.topologies import Sentinels, opened

GROUPS = ("gold", "iron", "zinc")


@pytest.fixture(params=["single", "sentinels", "cluster"])
def address(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[str]:
    """Return the address of an empty store of each kind."""
    if request.param == "single":
        yield request.getfixturevalue("url")
    else:
        several: Sentinels | Cluster = request.getfixturevalue(request.param)
        runner.run(several.empty())
        yield several.url


async def test_life_of_a_run(address: str) -> None:
    """A run is enqueued, claimed, renewed, given back, retried, rescued and completed."""
    async with opened(address) as store:
        await store.ping()
        await builders.register(store, groups=GROUPS)
        answers = await store.enqueue({group: [builders.occurrence()] for group in GROUPS})
        _, claims = await store.exchange(WORKER, [], [], dict.fromkeys(GROUPS, 2))
        gold, iron, zinc = (claims[group].runs[0] for group in GROUPS)
        lost = await store.renew([gold, iron, zinc])
        await store.release([zinc])
        words, claims = await store.exchange(
            WORKER, [builders.ended(gold)], [builders.resting(iron)], {"zinc": 1}
        )
        await builders.shift(store, HOUR_MS, "iron")
        await builders.shift(store, HOUR_MS, "zinc")
        swept = [(await store.sweep(group))[0] for group in GROUPS]
        _, again = await store.exchange(WORKER, [], [], dict.fromkeys(GROUPS, 2))

    assert {group: [("queued", gold.job_id)] for group in GROUPS} == answers
    assert (([], []), 1) == (lost, len(claims["zinc"].runs))
    assert "retrying" == words[iron.job_id]  # all three have the same job_id; iron is told last
    assert [[], [], [zinc.job_id]] == [[run.job_id for run in runs] for runs in swept]
    assert {"gold": [], "iron": [2], "zinc": [2]} == {
        group: [run.attempt for run in claim.runs] for group, claim in again.items()
    }


async def test_waits(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens for work or for completions hears of them."""
    monkeypatch.setattr("rota.common.store.LONGEST_BLOCK", 0.5)
    async with opened(address) as store:
        seeded = await builders.seed(store, None)
        await store.link.command("DEL", keys.wake("gold"))
        last = await store.last_completion("gold")
        heard = asyncio.gather(store.listen("gold", "w1"), store.completions("gold", last))
        await builders.enqueue(store, seeded.occurrence)
        run = (await builders.claim(store)).runs[0]
        await builders.complete(store, run)
        woken, (_, told) = await heard
        after = await store.last_completion("gold")
        silent = await store.completions("gold", after)

    assert woken
    assert [run.job_id] == [completion.job_id for completion, _ in told]
    assert (after, []) == silent


async def test_catalog(address: str) -> None:
    """Groups, jobs, workers and counts are read as they were written."""
    schedule = Schedule(kind="cron")
    jobs = {
        group: Job(tenant="acme", name=f"job-{group}", group=group, handler="h", schedule=schedule)
        for group in GROUPS
    }
    async with opened(address) as store:
        catalog = Catalog(store.link)
        for group, job in jobs.items():
            await catalog.publish(group, [job])
        await builders.register(store, groups=GROUPS)
        await store.enqueue({group: [builders.occurrence()] for group in GROUPS})
        groups, found = await catalog.groups(), await catalog.find("acme/job-iron")
        counts = [(await catalog.counts(group)).queued for group in GROUPS]
        slots = await catalog.slots("zinc", ["acme/import", "acme/none"])
        await Registration(store).unregister(builders.worker_info(groups=GROUPS))
        workers = [await catalog.workers(group) for group in GROUPS]
        await catalog.withdraw(GROUPS)
        gone = await catalog.groups()

    assert (sorted(GROUPS), jobs["iron"]) == (groups, found)
    assert ([1, 1, 1], [[], [], []], []) == (counts, workers, gone)
    assert [builders.occurrence().job_id, None] == [slot.run for slot in slots]


@pytest.mark.parametrize(
    "form", ["redis+sentinel://us3r:s3cret@{}/main", "redis+cluster://:s3cret@{}"]
)
async def test_nobody_there(form: str) -> None:
    """Where nobody answers, the message says who was asked, without password."""
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    async with opened(form.format(",".join(hosts))) as store:
        for request in (store.ping(), store.listen("gold", "w1"), store.sweep("gold")):
            with pytest.raises(StoreUnavailable) as caught:
                await request

            assert [True, True] == [f"{host}: " in str(caught.value) for host in hosts]
            assert "s3cret" not in str(caught.value)


async def test_no_cluster() -> None:
    """A server that belongs to no cluster, and sentinels that are none, are told from others."""
    with EmbeddedStore() as server:
        host = f"127.0.0.1:{server.port}"
        for url in (f"redis+cluster://{host}", f"redis+sentinel://{host}/main"):
            async with opened(url) as store:
                with pytest.raises(StoreUnavailable, match=f"{host}: .+"):
                    await store.ping()


async def test_unknown_master(sentinels: Sentinels) -> None:
    """Sentinels that know no such master say so."""
    async with opened(sentinels.url.replace("/main/", "/other/")) as store:
        with pytest.raises(StoreUnavailable, match="No such master"):
            await store.ping()


async def test_logins(sentinels: Sentinels) -> None:
    """Sentinels and servers are logged in to with their own credentials."""
    for port in [sentinel.port for sentinel in sentinels.sentinels]:
        await ask(port, "ACL", "SETUSER", "watcher", "on", ">w0rd", "+@all", "&*")
    for port in [server.port for server in sentinels.servers]:
        await ask(port, "ACL", "SETUSER", "rota", "on", ">s3cret", "+@all", "~*", "&*")
    url = sentinels.url.replace("://", "://rota:s3cret@")
    login = "?sentinel_username=watcher&sentinel_password="
    async with opened(f"{url}{login}w0rd") as store:
        name = await store.link.command("ACL", "WHOAMI")
    async with opened(f"{url}{login}wr0ng") as store:
        with pytest.raises(StoreUnavailable, match="invalid username") as caught:
            await store.ping()

    assert b"rota" == name
    assert "wr0ng" not in str(caught.value)
