"""The link: what goes wrong has a clear name, and the store's own forgetting goes unnoticed."""

import pytest

from rota.common import keys
from rota.common.embedded import EmbeddedStore, free_port
from rota.common.errors import StoreError, StoreUnavailable, UsageError
from rota.common.link import Call, Link, redacted
from rota.common.state import Operation, State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP, WORKER

PASSWORD = "s3cret/w#rd"  # noqa: S105 - a password that makes the URL malformed


async def test_forgotten_scripts(store: Store) -> None:
    """A store that has forgotten its scripts is given them again; the caller does not notice."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.enqueue(store, builders.occurrence(job="next"))
    await store.link.command("SCRIPT", "FLUSH")
    words, claims = await store.exchange(WORKER, [builders.ended(seeded.run)], [], {GROUP: 1})

    assert {seeded.run.job_id: "completed"} == words
    assert 1 == len(claims[GROUP].runs)
    assert 1 == await store.link.command("XLEN", keys.done(GROUP))


async def test_partly_forgotten_scripts(store: Store) -> None:
    """Where the store knows one script of a batch and not the other, each runs once."""
    await store.link.command("SCRIPT", "FLUSH")
    await builders.enqueue(store, builders.occurrence())
    root = keys.root(GROUP)
    later = builders.occurrence(job="later")
    replies = await store.link.batch(
        [
            Call(Operation.PROMOTE, root, (0, 1)),
            Call(Operation.ENQUEUE, root, (0, 0, *later)),
            Call(Operation.RESCUE, root, (0, 1)),
        ]
    )

    assert [[0, -1], [b"queued", later.job_id.encode()], [-1]] == [each[2:] for each in replies]
    assert 2 == await store.link.command("LLEN", keys.queue(GROUP, "acme"))


async def test_script_that_fails(store: Store) -> None:
    """A refused script is an error of the store, named as such, and not an outage."""
    with pytest.raises(StoreError, match="refused") as caught:
        await store.link.batch([Call(Operation.ENQUEUE, keys.root(GROUP), (0, 0, "only", "two"))])

    assert not isinstance(caught.value, StoreUnavailable)


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://localhost", "redis://localhost:port/0", "redis://[::1"]
)
def test_wrong_address(url: str) -> None:
    """An address that is none is a mistake of usage, and the message names the variable."""
    with pytest.raises(UsageError, match="ROTA_REDIS_URL"):
        Link(url)


@pytest.mark.parametrize("url", [f"redis://user:{PASSWORD}@localhost:1/0", f"http://:{PASSWORD}@h"])
def test_password_in_a_wrong_address(url: str) -> None:
    """A password that makes the address malformed is not shown, not even in part."""
    with pytest.raises(UsageError) as caught:
        Link(url)

    assert "s3cret" not in str(caught.value)
    assert "w#rd" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/2", "redis://host:1/2"),
        ("redis://user:word@host:1/2", "redis://host:1/2"),
        ("rediss://:w@rd@host", "rediss://host"),
        ("redis://host?password=word", "redis://host"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("user:word@host", "host"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    """The address is shown without user name and password."""
    assert shown == redacted(url)


async def test_store_down() -> None:
    """A store that is not there can't be reached: the message says where, without password."""
    port = free_port()
    link = Link(f"redis://user:s3cret@127.0.0.1:{port}/0")
    requests = [link.command("PING"), link.block("PING"), link.pipeline([("PING",)])]
    for request in [*requests, Store(link).enqueue({GROUP: [builders.occurrence()]})]:
        with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}") as caught:
            await request

        assert "s3cret" not in str(caught.value)
    await link.close()


async def test_wrong_password(url: str) -> None:
    """A password that the store refuses is not shown."""
    link = Link(url.replace("redis://", "redis://user:s3cret@"))
    with pytest.raises(StoreError) as caught:
        await link.command("PING")
    await link.close()

    assert "s3cret" not in str(caught.value)


async def test_error_quotes_no_payload(store: Store) -> None:
    """The error of a failed pipeline does not quote what was sent."""
    with pytest.raises(StoreError, match="refused") as caught:
        await store.link.pipeline([("SET", "key", "s3cret", "nonsense")])

    assert "s3cret" not in str(caught.value)


async def test_replica() -> None:
    """A store that has become a replica is away, for scripts and for plain commands."""
    with EmbeddedStore() as server:
        link = Link(server.url)
        store = Store(link)
        await builders.register(store)
        await link.command("REPLICAOF", "127.0.0.1", free_port())
        for request in (builders.claim(store), store.ring(GROUP), builders.register(store)):
            with pytest.raises(StoreUnavailable):
                await request
        await link.close()


async def test_close_twice(url: str) -> None:
    """Closing is harmless when nothing was opened, and twice."""
    link = Link(url)
    await link.close()
    await link.command("PING")
    await link.close()
    await link.close()
