"""The applied configuration lies in the store by revision; one is current, and nothing is torn."""

import asyncio
import random

import pytest

from rota.common import keys
from rota.common.errors import Refused
from rota.common.link import Link
from rota.common.revisions import KEPT, Moved, Revision, Revisions, Unreadable
from rota.common.store import Store
from tests.support import builders, revisions
from tests.support.clusters import Cluster

LARGE = random.Random(4).randbytes(1_000_000)  # does not get smaller, and takes several parts


async def test_none(store: Store) -> None:
    """On a store to which nothing was applied there is no current revision, and none is kept."""
    known = Revisions(store.link)

    assert "" == await known.current_name()
    assert await known.current() is None
    assert [] == await known.kept()


@pytest.mark.parametrize("content", [b"", b"small", LARGE])
async def test_read_back(store: Store, content: bytes) -> None:
    """What was applied is read back whole, whatever its size, with what is told of it."""
    made = await revisions.make(store, content)
    known = Revisions(store.link)

    assert made == await known.current()
    assert made.name == await known.current_name()
    assert content == await known.content(made)
    assert (1, "ann@host") == (made.number, made.by)
    assert -1 == await store.link.command("PTTL", keys.revision(made.name))


async def test_numbers_rise(store: Store) -> None:
    """Each revision has the next number, and the former ones can still be read."""
    first = await revisions.make(store, b"first")
    second = await revisions.make(store, b"second")

    assert [2, 1] == [each.number for each in await Revisions(store.link).kept()]
    assert second == await Revisions(store.link).current()
    assert b"first" == await Revisions(store.link).content(first)


async def test_second_is_refused(store: Store) -> None:
    """Who made a revision from one that is no longer current is told who was first; it stays."""
    first = await revisions.make(store)
    second = await revisions.make(store, b"second", by="bob@other")
    before = await builders.snapshot(store)
    with pytest.raises(Refused, match=r"revision 2 was applied meanwhile by bob@other"):
        await revisions.make(store, b"third", before=first)
    after = await builders.snapshot(store)

    assert second == await Revisions(store.link).current()
    assert before == {name: after[name] for name in before}


async def test_concurrent(store: Store) -> None:
    """Of many that apply at the same time exactly one succeeds, each time."""
    for _ in range(10):
        before = await Revisions(store.link).current()
        tries = [revisions.make(store, b"%d" % n, before=before) for n in range(5)]
        done = await asyncio.gather(*tries, return_exceptions=True)
        made = [each for each in done if isinstance(each, Revision)]

        assert 4 == sum(isinstance(each, Moved) for each in done)
        assert made == [await Revisions(store.link).current()]


async def test_crash_before_the_switch(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies before the switch has changed nothing, and what it wrote ends by itself."""
    first = await revisions.make(store, b"first")
    command = Link.command

    async def crash(link: Link, *words: object, **options: str) -> object:
        if words[0] == "EVAL":
            raise ConnectionError
        return await command(link, *words, **options)

    monkeypatch.setattr(Link, "command", crash)
    with pytest.raises(ConnectionError):
        await revisions.make(store, LARGE, before=first)
    monkeypatch.undo()
    (left,) = set(await builders.snapshot(store)) - {keys.revisions(), keys.revision(first.name)}

    assert first == await Revisions(store.link).current()
    assert 0 < await store.link.command("PTTL", left) <= 3_600_000


async def test_lost_reply(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch may be sent again when its reply was lost: it is taken as the same."""
    command = Link.command

    async def twice(link: Link, *words: object, **options: str) -> object:
        if words[0] == "EVAL":
            await command(link, *words, **options)
        return await command(link, *words, **options)

    monkeypatch.setattr(Link, "command", twice)
    made = await revisions.make(store)

    assert [made] == await Revisions(store.link).kept()


async def test_expired(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision whose parts have expired before the switch does not become current."""
    command = Link.command

    async def late(link: Link, *words: object, **options: str) -> object:
        if words[0] == "EVAL":
            await command(link, "DEL", keys.revision(str(words[5])))
        return await command(link, *words, **options)

    monkeypatch.setattr(Link, "command", late)
    with pytest.raises(Moved):
        await revisions.make(store)

    assert await Revisions(store.link).current() is None


async def test_the_last_are_kept(store: Store) -> None:
    """The last 20 revisions are kept with their content, and nothing of the others."""
    made = [await revisions.make(store, b"%d" % n) for n in range(KEPT + 3)]
    last = made[-KEPT:]

    assert 20 == KEPT
    assert last[::-1] == await Revisions(store.link).kept()
    assert {keys.revisions(), *(keys.revision(each.name) for each in last)} == set(
        await builders.snapshot(store)
    )


async def test_lost_content(store: Store) -> None:
    """A revision of which the store has lost a part is not taken for whole."""
    made = await revisions.make(store, LARGE)
    await store.link.command("RPOP", keys.revision(made.name))
    with pytest.raises(Unreadable, match="revision 1"):
        await Revisions(store.link).content(made)


async def test_restore(store: Store) -> None:
    """A store that was emptied is given the same revision back, number and all."""
    await revisions.make(store)
    made = await revisions.make(store, LARGE)
    await store.link.command("FLUSHALL")
    known = Revisions(store.link)
    back = await known.restore(made, LARGE, None)

    assert [back] == await known.kept()
    assert (2, made.at_ms, made.digest) == (back.number, back.at_ms, back.digest)
    assert LARGE == await known.content(back)
    assert 3 == (await revisions.make(store)).number


async def test_restore_is_second(store: Store) -> None:
    """Who applies to a store that was emptied is not undone by one that gives back the former."""
    made = await revisions.make(store)
    await store.link.command("FLUSHALL")
    newer = await revisions.make(store, b"newer")
    with pytest.raises(Moved):
        await Revisions(store.link).restore(made, b"content", None)

    assert newer == await Revisions(store.link).current()


async def test_two_restore(store: Store) -> None:
    """Of several that give a revision back one does, and what is there is whole and stays."""
    made = await revisions.make(store, LARGE)
    await store.link.command("FLUSHALL")
    known = Revisions(store.link)
    tries = [known.restore(made, LARGE, None) for _ in range(3)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    current = await known.current()

    assert current is not None
    assert 2 == sum(isinstance(each, Moved) for each in done)
    assert LARGE == await known.content(current)
    assert -1 == await store.link.command("PTTL", keys.revision(current.name))


async def test_on_a_cluster(cluster: Cluster) -> None:
    """On a Redis Cluster a revision is applied, read and dropped as elsewhere."""
    store = Store(Link(cluster.url))
    made = [await revisions.make(store, LARGE) for _ in range(KEPT + 1)]

    assert made[:0:-1] == await Revisions(store.link).kept()
    assert LARGE == await Revisions(store.link).content(made[-1])

    await store.link.close()
