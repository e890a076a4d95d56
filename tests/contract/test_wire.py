"""Connections: what a caller gets is the answer to what it asked, whatever became of others."""

import asyncio

import pytest

from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from rota.common.store import Store
from tests.support import probe, workers


async def clients(store: Store) -> int:
    """Return how many connections the server has."""
    return len((await store.link.command("CLIENT", "LIST")).splitlines())


async def test_many_at_once(store: Store) -> None:
    """However many ask at the same time, each gets its own answer."""
    sent = [f"word-{n}" for n in range(100)]
    told = await asyncio.gather(*(store.link.command("ECHO", word) for word in sent))

    assert sent == [word.decode() for word in told]


async def test_long_pipeline(store: Store) -> None:
    """The answers to many commands, large ones too, come in their order."""
    sent = [f"{n} " + "x" * 2_000 for n in range(2_000)]
    told = await store.link.pipeline([("ECHO", word) for word in sent])

    assert sent == [word.decode() for word in told]


@pytest.mark.parametrize("blocking", [True, False])
async def test_cancelled(store: Store, blocking: bool) -> None:
    """The answer to a caller that has gone is given to nobody else."""
    ask = store.link.block if blocking else store.link.command
    asking = asyncio.create_task(ask("BLPOP", "list", 2))
    await probe.found(lambda: blocked(store))
    asking.cancel()
    await asyncio.wait([asking])
    await store.link.command("RPUSH", "list", "for somebody else")

    assert b"word" == await ask("ECHO", "word")
    assert 1 == await store.link.command("LLEN", "list")


async def blocked(store: Store) -> bool:
    """Return whether a connection waits for a list."""
    return b"cmd=blpop" in await store.link.command("CLIENT", "LIST")


async def test_closed_while_idle(store: Store) -> None:
    """A connection that the server closed while nobody used it fails nobody."""
    await asyncio.gather(*(store.link.command("PING") for _ in range(5)))
    for _ in range(20):
        await store.link.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        killer = await store.link.command("CLIENT", "ID")
        other = Store(Link(store.link.address))
        await other.link.command("CLIENT", "KILL", "ID", killer)
        await other.link.close()

        await store.ping()


async def test_used_again(store: Store) -> None:
    """One after the other, callers share a connection."""
    await store.ping()
    before = await clients(store)
    for _ in range(20):
        await store.ping()

    assert before == await clients(store)


async def test_closed_behind(url: str, store: Store) -> None:
    """A link that is closed leaves no connection behind, whatever was under way."""
    link = Link(url)
    before = await clients(store)
    waiting = asyncio.create_task(link.block("BLPOP", "list", 2))
    await probe.found(lambda: blocked(store))
    await link.close()
    with pytest.raises(StoreUnavailable):
        await waiting

    async def gone() -> bool:
        return before == await clients(store)

    await probe.found(gone)


async def test_cut_in_the_middle(url: str) -> None:
    """A connection that ends while an answer is awaited says so at once."""
    async with workers.proxied(url) as (proxy, store):
        waiting = asyncio.create_task(store.link.block("BLPOP", "list", 2))
        await probe.found(lambda: blocked(store))
        await proxy.cut()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(waiting, workers.PROMPTLY)
