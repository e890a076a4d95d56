"""What operators have paused lies in the store beside the revisions, and nothing of it is torn."""

import asyncio

import msgspec

from rota.common import keys
from rota.common.link import Link
from rota.common.pauses import Pause, Pauses, PauseSet
from rota.common.retention import USUAL
from rota.common.store import Store
from tests.support.clusters import Cluster


async def pause(store: Store, name: str, why: str = "") -> Pause:
    """Pause something."""
    return (await Pauses(store.link).pause(name, by="ann@ops", why=why))[0]


async def read(store: Store) -> PauseSet:
    """Return all pauses."""
    return await Pauses(store.link).read()


async def test_none(store: Store) -> None:
    """On a new store nothing is paused."""
    assert 0 == await Pauses(store.link).version()
    assert {} == (await read(store)).all_lasting


async def test_paused(store: Store) -> None:
    """A pause is told with by whom, why and since when; a tenant's holds for all its jobs."""
    made = await pause(store, "acme", "data migration")
    known = await read(store)

    assert ("ann@ops", "data migration", 0) == (made.by, made.why, made.until_ms)
    assert {"acme": made} == known.all_lasting
    assert ("acme", made) == known.over("acme/import")
    assert known.over("acme-2/import") is None
    assert "by ann@ops: data migration" == made.text


async def test_paused_again(store: Store) -> None:
    """Who pauses what is paused changes nothing: it is still the first one's."""
    first = await pause(store, "acme/import", "first")
    version = await Pauses(store.link).version()

    assert (first, False) == await Pauses(store.link).pause("acme/import", by="bob@ops", why="")
    assert version == await Pauses(store.link).version()


async def test_resumed(store: Store) -> None:
    """A pause that was ended holds no more, and is kept; one that there is not can't be ended."""
    first = await pause(store, "acme/import")
    ended = await Pauses(store.link).resume("acme/import")
    second = await pause(store, "acme/import")
    known = await read(store)

    assert ended is not None
    # One that is ended in the millisecond in which it began ends in the next.
    assert first.since_ms < ended.until_ms <= second.since_ms + 1
    assert (ended, second) == known.of["acme/import"]
    assert second == known.lasting("acme/import")
    assert await Pauses(store.link).resume("acme/export") is None


async def test_old_ones_are_forgotten(store: Store) -> None:
    """A pause that was ended is kept for 30 days, and then is gone with its name."""
    old = Pause(by="ann@ops", since_ms=1, until_ms=await _now(store) - USUAL.ms)
    lasting = Pause(by="ann@ops", since_ms=1)
    packed = {name: msgspec.msgpack.encode((old, *more)) for name, more in NAMES.items()}
    await store.link.command("HSET", keys.pauses(), *(v for pair in packed.items() for v in pair))
    await pause(store, "beta")
    known = await read(store)

    assert {"acme", "beta"} == set(known.of)
    assert (lasting,) == known.of["acme"]


NAMES = {"acme": (Pause(by="ann@ops", since_ms=1),), "gone": ()}


async def _now(store: Store) -> int:
    return await store.link.now_ms(keys.pauses())


async def test_at_the_same_time(store: Store) -> None:
    """Of those who pause and resume at the same time nobody undoes what another one did."""
    await pause(store, "t0")
    names = [f"t{n}" for n in range(1, 6)]
    await asyncio.gather(Pauses(store.link).resume("t0"), *(pause(store, name) for name in names))

    assert names == list((await read(store)).all_lasting)


async def test_versions_rise(store: Store) -> None:
    """Each change has a higher version, by which it is seen that something has changed."""
    versions = [await Pauses(store.link).version()]
    for _ in range(3):
        await pause(store, "acme")
        versions.append(await Pauses(store.link).version())
        await Pauses(store.link).resume("acme")
        versions.append(await Pauses(store.link).version())

    assert sorted(set(versions)) == versions


async def test_restored(store: Store) -> None:
    """A store that has lost its pauses, or the last ones, gets them back as they were."""
    await pause(store, "acme")
    earlier = await store.link.command("HGETALL", keys.pauses())
    await pause(store, "beta")
    ours = await read(store)
    kept: list[dict[bytes, bytes]] = [{}, earlier]
    for lost in kept:
        await store.link.command("DEL", keys.pauses())
        if lost:
            fields = [value for pair in lost.items() for value in pair]
            await store.link.command("HSET", keys.pauses(), *fields)
        await Pauses(store.link).restore(ours)

        assert ours == await read(store)


async def test_not_restored(store: Store) -> None:
    """What was changed since stays: who knows an earlier version does not undo it."""
    await pause(store, "acme")
    ours = await read(store)
    await Pauses(store.link).resume("acme")
    later = await read(store)
    await Pauses(store.link).restore(ours)

    assert later == await read(store)


async def test_on_a_cluster(cluster: Cluster) -> None:
    """On a Redis Cluster it is paused, resumed and restored as elsewhere."""
    store = Store(Link(cluster.url))
    await pause(store, "acme")
    await Pauses(store.link).resume("acme")
    second = await pause(store, "acme/import")
    ours = await read(store)
    await store.link.command("DEL", keys.pauses())
    await Pauses(store.link).restore(ours)

    assert ours == await read(store)
    assert {"acme/import": second} == ours.all_lasting

    await store.link.close()
