"""What a store promises is told at start, and one that promises too little is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rota.common import durability, keys
from rota.common.catalog import Catalog
from rota.common.durability import Profile
from rota.common.embedded import EmbeddedStore
from rota.common.errors import Refused, StoreUnavailable
from rota.common.link import Link
from rota.common.settings import Settings
from rota.common.store import Store
from tests.support import probe
from tests.support.clusters import Cluster
from tests.support.logbook import Logbook

KEEPS = Profile(policy="noeviction", replicas=0, name="memory")
STRICT = Profile(policy="noeviction", replicas=1, name="aof-everysec", min_replicas=1, max_lag_s=10)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the address of a server of our own, which the test configures."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where it writes its log, if it does
    with EmbeddedStore() as server:
        yield server.url


async def configure(store: Store, **options: str) -> None:
    """Set options of the server."""
    for name, value in options.items():
        await store.link.command("CONFIG", "SET", name.replace("_", "-"), value)


async def checked(url: str, **settings: Any) -> Logbook:
    """Return what is logged of a store on which a daemon may start."""
    book = Logbook()
    await durability.check(Settings(redis_url=url, **settings), book.log)
    return book


async def test_profile_in_memory(url: str) -> None:
    """A store in memory that evicts nothing will do; what it promises is logged once."""
    book = await checked(url)
    (told,) = book.events("store_profile")

    assert ("memory", 0, False, "noeviction") == tuple(
        told[name] for name in ("profile", "replicas", "strict", "policy")
    )
    assert [] == book.complaints()


@pytest.mark.parametrize("fsync", ["everysec", "always"])
async def test_profile_with_log(url: str, store: Store, fsync: str) -> None:
    """A store that writes a log tells how often it makes sure that it is on disk."""
    await configure(store, appendonly="yes", appendfsync=fsync)
    (told,) = (await checked(url)).events("store_profile")

    assert f"aof-{fsync}" == told["profile"]


@pytest.mark.parametrize(
    "policy", ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"]
)
async def test_evicting_store_is_refused(url: str, store: Store, policy: str) -> None:
    """A store that drops keys when it is full is refused, with what to do; its profile is told."""
    await configure(store, maxmemory_policy=policy)
    with pytest.raises(Refused, match=f"{policy}.*set maxmemory-policy noeviction") as caught:
        await checked(url)

    assert 6 == caught.value.exit_code


async def test_strict_with_replica(url: str, store: Store) -> None:
    """Strict mode starts on a master with a log and a replica that every write waits for."""
    await configure(store, appendonly="yes", repl_diskless_sync_delay="0")
    await configure(store, min_replicas_to_write="1", min_replicas_max_lag="10")

    async def replicated() -> bool:
        return bool((await store.link.command("INFO", "replication"))["connected_slaves"])

    with EmbeddedStore() as replica:
        link = Link(replica.url)
        await link.command("REPLICAOF", "127.0.0.1", url.rpartition(":")[2].partition("/")[0])
        await link.close()
        await probe.found(replicated)
        (told,) = (await checked(url, durability="strict")).events("store_profile")

    assert ("aof-everysec", True, 1) == (told["profile"], told["strict"], told["replicas"])


async def test_strict_is_refused(url: str) -> None:
    """Strict mode does not start on a store that keeps nothing."""
    with pytest.raises(Refused, match=r"needs a log.*appendonly yes"):
        await checked(url, durability="strict")


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"name": "memory"}, "appendonly yes"),
        ({"min_replicas": 0}, "min-replicas-to-write 1 or more"),
        ({"max_lag_s": 11}, "min-replicas-max-lag 1 to 10"),
        ({"max_lag_s": 0}, "min-replicas-max-lag 1 to 10"),
        ({"policy": "allkeys-lru"}, "maxmemory-policy noeviction"),
    ],
)
def test_unfit(change: dict[str, Any], advice: str) -> None:
    """Each thing that strict mode needs is asked for by its name; standard mode needs only one."""
    fields = {name: getattr(STRICT, name) for name in STRICT.__struct_fields__}
    profile = Profile(**(fields | change))

    assert advice in profile.unfit(strict=True)
    assert ("policy" in change) == bool(profile.unfit(strict=False))
    assert "" == STRICT.unfit(strict=True) == KEEPS.unfit(strict=False)


async def restrict(store: Store) -> str:
    """Return the address for a user who may not read the configuration."""
    await store.link.command(
        *("ACL", "SETUSER", "plain", "on", ">s3cret", "~*", "&*", "+@all", "-config")
    )
    return store.link.address.replace("redis://", "redis://plain:s3cret@")


@pytest.mark.parametrize("mode", ["standard", "strict"])
async def test_configuration_is_forbidden(url: str, store: Store, mode: str) -> None:
    """Where the configuration may not be read, that is told, and the daemon starts."""
    book = await checked(await restrict(store), durability=mode)
    (told,) = book.events("store_profile_unknown")

    assert "noeviction" == told["policy"]
    assert "s3cret" not in told["error"]


async def test_eviction_is_known_all_the_same(url: str, store: Store) -> None:
    """A store that evicts is refused even where the configuration may not be read."""
    await configure(store, maxmemory_policy="volatile-lru")
    with pytest.raises(Refused, match="volatile-lru"):
        await checked(await restrict(store))


async def test_no_store(url: str) -> None:
    """A store that can't be reached is none that lacks a promise."""
    with pytest.raises(StoreUnavailable):
        await checked("redis://127.0.0.1:1/0")


async def test_cluster(cluster: Cluster) -> None:
    """In a cluster the masters that serve groups are looked at; one that evicts is enough."""
    store = Store(Link(cluster.url))
    try:
        for group in "abcdef":
            await Catalog(store.link).publish(group, [])
        (told,) = (await checked(cluster.url)).events("store_profile")
        setting = ("CONFIG", "SET", "maxmemory-policy")
        await store.link.command(*setting, "allkeys-lru", key=keys.root("c"))
        try:
            with pytest.raises(Refused, match="allkeys-lru"):
                await checked(cluster.url)
        finally:
            await store.link.command(*setting, "noeviction", key=keys.root("c"))
    finally:
        await store.link.close()

    assert "noeviction" == told["policy"]
