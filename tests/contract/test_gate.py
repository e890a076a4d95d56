"""The gate: a store that may have lost writes starts nothing until live workers have reported."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rota.common import keys
from rota.common.link import Link
from rota.common.scripts import GATE_MS
from rota.common.state import Operation, State
from rota.common.store import Store
from tests.support import backup, builders, calls
from tests.support.builders import GROUP, HOUR_MS, Seeded
from tests.support.servers import Server

REFUSED = [Operation.ENQUEUE, Operation.CLAIM, Operation.PROMOTE, Operation.RESCUE]
Loss = Callable[[Store], Awaitable[None]]


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Store]:
    """Connect to a server of our own, as somebody who knows nothing yet."""
    store = Store(Link(server.url))
    try:
        yield store
    finally:
        await store.link.close()


async def call(store: Store, operation: Operation, seeded: Seeded, epoch: int) -> calls.Reply:
    """Run a script on a run."""
    return await calls.call(store, operation, calls.arguments(operation, seeded), epoch)


async def wait_ms(store: Store, epoch: int | None = None) -> int:
    """Return how long the gate stays open, as somebody who knows `epoch`; None for the store's."""
    return (await calls.call(store, Operation.RESCUE, (1,), epoch)).wait_ms


async def fence(store: Store) -> int:
    """Return the highest fence that the group has given, or holds as given."""
    return int(await store.link.command("HGET", keys.root(GROUP), "fence"))


async def emptied(store: Store) -> None:
    """Lose everything."""
    await store.link.command("FLUSHALL")


async def emptied_behind_our_back(store: Store) -> None:
    """Lose everything; somebody who knows nothing begins anew."""
    await emptied(store)
    await wait_ms(store, epoch=0)


async def put_back(store: Store) -> None:
    """Lose what happened since the last time the gate was opened, and that it was opened."""
    saved = await backup.take(store.link)
    await builders.change_server(store)
    await store.sweep(GROUP)
    await backup.put_back(store.link, saved)


LOSSES: list[Loss] = [builders.change_server, emptied, emptied_behind_our_back, put_back]
BY_LOSS = pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)


@pytest.mark.parametrize("operation", Operation)
async def test_restart(tmp_path: Path, operation: Operation) -> None:
    """After a restart the first call opens the gate, whatever it is and whoever calls."""
    async with Server(tmp_path, log=True) as server, connected(server) as store:
        seeded = await builders.seed(store, State.RUNNING)
        epoch, highest = store.epochs.known(GROUP), await fence(store)
        for known in (epoch, 0):
            await server.restart()
            reply = await call(store, operation, seeded, known)

            assert GATE_MS == reply.wait_ms
            assert reply.epoch > epoch
            assert await fence(store) > highest
            epoch, highest = reply.epoch, await fence(store)


async def test_failover(tmp_path: Path) -> None:
    """A replica that is promoted opens the gate with the first call, and loses nothing it has."""
    async with Server(tmp_path) as master, connected(master) as before:
        seeded = await builders.seed(before, State.RUNNING)
        async with Server(tmp_path, master=master) as replica, connected(replica) as after:
            await replica.caught_up()
            await replica.promote()
            master.kill()
            words = await builders.enqueue(after, builders.occurrence(job="next"))

            assert [("gated", "")] == words
            assert after.epochs.known(GROUP) > before.epochs.known(GROUP)
            assert "renewed" == await builders.renew(after, seeded.run)


@pytest.mark.parametrize("nuisance", [("SCRIPT", "FLUSH"), ("CLIENT", "KILL", "TYPE", "normal")])
async def test_no_loss_no_gate(store: Store, nuisance: tuple[str, ...]) -> None:
    """Lost scripts or connections lose no data: the gate stays closed."""
    await builders.seed(store, State.RUNNING)
    await store.link.command(*nuisance)

    assert 0 == await wait_ms(store)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("operation", REFUSED)
async def test_nothing_starts(store: Store, state: State, operation: Operation) -> None:
    """While the gate is open nothing is enqueued, claimed, promoted or rescued: no key changes."""
    seeded = await builders.seed(store, state)
    await builders.shift(store, HOUR_MS)
    await builders.change_server(store)
    await store.sweep(GROUP)
    before = await builders.snapshot(store)
    reply = await call(store, operation, seeded, store.epochs.known(GROUP))

    assert 0 < reply.wait_ms <= GATE_MS
    assert before == await builders.snapshot(store)


async def test_work_goes_on(store: Store) -> None:
    """While the gate is open workers renew, complete, retry and give back what they hold."""
    await builders.register(store)
    await builders.enqueue(store, *(builders.occurrence(job=f"job{n}") for n in range(3)))
    done, tired, back = (await builders.claim(store, n=3)).runs
    await builders.change_server(store)

    assert ([], []) == await store.renew([done, tired, back])
    assert "completed" == await builders.complete(store, done)
    assert "retrying" == await builders.retry(store, tired)
    await store.release([back])
    assert State.QUEUED == await builders.state_of(store, back.job_id)
    assert 0 < await wait_ms(store) <= GATE_MS


async def test_callers_are_told_how_long(store: Store) -> None:
    """Scheduler and worker are told that they were refused, and when to come again."""
    seeded = await builders.seed(store, State.RUNNING)
    await builders.enqueue(store, builders.occurrence(job="waiting"))
    await builders.change_server(store)
    words = await builders.enqueue(store, builders.occurrence(job="next"), seeded.occurrence)
    claim = await builders.claim(store)
    taken, wait_s = await store.sweep(GROUP)

    assert [("gated", "")] * 2 == words
    assert (True, [], []) == (claim.registered, claim.runs, taken)
    assert GATE_MS / 1000 - 2 < wait_s <= claim.wait_s <= GATE_MS / 1000


async def test_closes_by_itself(store: Store) -> None:
    """The gate is open for exactly its time, however often it is asked; then all goes on."""
    await builders.seed(store, State.QUEUED)
    await builders.change_server(store)
    first = await wait_ms(store)
    await builders.shift(store, GATE_MS // 2)
    half = await wait_ms(store)
    await builders.shift(store, GATE_MS // 2)

    assert GATE_MS == first
    assert GATE_MS // 2 - 2_000 < half <= GATE_MS // 2
    assert 1 == len((await builders.claim(store)).runs)
    assert "queued" == (await builders.enqueue(store, builders.occurrence(job="next")))[0][0]


async def test_second_loss(store: Store) -> None:
    """A store that is lost again while its gate is open keeps it open for the whole time again."""
    await builders.seed(store, State.QUEUED)
    await builders.change_server(store)
    await wait_ms(store)
    await builders.shift(store, GATE_MS - 3_000)
    await builders.change_server(store)

    assert GATE_MS == await wait_ms(store)


@BY_LOSS
async def test_loss(store: Store, lose: Loss) -> None:
    """Whatever is lost, whoever comes first: a caller who knew the group opens the gate, once."""
    await builders.seed(store, State.RUNNING)
    known = store.epochs.known(GROUP)
    await lose(store)
    first = await calls.call(store, Operation.RESCUE, (1,))
    await builders.shift(store, GATE_MS)
    second = await calls.call(store, Operation.RESCUE, (1,), known)

    assert GATE_MS == first.wait_ms
    assert (0, first.epoch) == (second.wait_ms, second.epoch)


@BY_LOSS
async def test_epoch_and_fence_rise(store: Store, lose: Loss) -> None:
    """After each loss, however soon after another, epoch and fences are above all earlier ones."""
    epochs, fences = [0], [0]
    for number in range(8):
        await builders.close_gate(store)
        await builders.register(store)
        await builders.enqueue(store, *(builders.occurrence(f"t{number}", f"{n}") for n in (1, 2)))
        fences += [run.fence for run in (await builders.claim(store, n=2)).runs]
        epochs.append(store.epochs.known(GROUP))
        await lose(store)

    assert 17 == len(fences)
    assert sorted(set(fences)) == fences
    assert sorted(set(epochs)) == epochs


async def test_clock_that_goes_back(store: Store) -> None:
    """The epoch rises also when the new server's clock is behind, and what it had is lost."""
    await builders.seed(store, State.RUNNING)
    await builders.shift(store, HOUR_MS)
    await builders.change_server(store)
    await store.sweep(GROUP)
    epoch = store.epochs.known(GROUP)
    await emptied(store)  # the hour, too
    reply = await calls.call(store, Operation.RESCUE, (1,))

    assert (GATE_MS, epoch + 1) == (reply.wait_ms, reply.epoch)


async def test_restart_empty(tmp_path: Path) -> None:
    """After a restart without data a caller who knew the group opens the gate, another does not."""
    async with Server(tmp_path) as server, connected(server) as store:
        await builders.seed(store, State.RUNNING)
        epoch, highest = store.epochs.known(GROUP), await fence(store)
        for known, expected in ((0, 0), (epoch, GATE_MS)):
            await server.restart()
            reply = await calls.call(store, Operation.RESCUE, (1,), known)

            assert expected == reply.wait_ms
            assert reply.epoch > epoch
            assert await fence(store) > highest
            epoch, highest = reply.epoch, await fence(store)


async def test_new_group(store: Store) -> None:
    """A group that nobody has heard of begins at once."""
    await builders.register(store)

    assert "queued" == (await builders.enqueue(store, builders.occurrence()))[0][0]
    assert 1 == len((await builders.claim(store)).runs)


async def test_groups_are_apart(store: Store) -> None:
    """What one group knows of its server does not open the gate of another."""
    await builders.seed(store, State.RUNNING)
    await builders.seed(store, State.RUNNING, group="iron")
    await builders.change_server(store)
    later = builders.occurrence(job="later")
    words = await store.enqueue({GROUP: [later], "iron": [later]})

    assert {GROUP: [("gated", "")], "iron": [("queued", later.job_id)]} == words


@asynccontextmanager
async def asking_for(url: str, gate_ms: int, known: int = 0) -> AsyncIterator[Store]:
    """Connect as somebody with a gate of his own, who knows the epoch `known` of the group."""
    store = Store(Link(url, gate_ms=gate_ms))
    store.epochs.note(GROUP, known, 0)
    try:
        yield store
    finally:
        await store.link.close()


async def test_length_is_the_callers(url: str) -> None:
    """How long the gate stays open is for the operator to say."""
    async with asking_for(url, 500) as store:
        await builders.seed(store, State.RUNNING)
        await builders.change_server(store)

        assert 500 == await wait_ms(store)


async def test_longest_gate_is_kept(url: str, store: Store) -> None:
    """Whoever comes first after a loss, the gate is as long as the longest that was asked for."""
    await builders.seed(store, State.RUNNING)
    for own in (500, 1_000):
        async with asking_for(url, own) as hasty:
            await wait_ms(hasty)
            await builders.change_server(store)

            assert GATE_MS == await wait_ms(hasty)


@BY_LOSS
async def test_longer_gate_is_heard_of(url: str, store: Store, lose: Loss) -> None:
    """A gate that somebody opened too short is lengthened, counted from when it opened."""
    async with asking_for(url, 2_000) as hasty:
        await builders.seed(hasty, State.RUNNING)
        known = hasty.epochs.known(GROUP)
        await lose(hasty)
        first = await calls.call(hasty, Operation.RESCUE, (1,))
        await builders.shift(hasty, 1_000)
        second = await calls.call(store, Operation.RESCUE, (1,), known)

        assert 2_000 == first.wait_ms
        assert GATE_MS - 3_000 < second.wait_ms <= GATE_MS - 1_000
        assert GATE_MS - 3_000 < await wait_ms(hasty) <= GATE_MS - 1_000
        assert first.epoch == second.epoch


async def test_longer_gate_is_heard_of_too_late(url: str, store: Store) -> None:
    """A gate that closed too early opens for what is left of its time, and not again behind it."""
    async with asking_for(url, 500) as hasty:
        await builders.seed(hasty, State.RUNNING)
        await builders.change_server(store)
        await wait_ms(hasty)
        await builders.shift(store, GATE_MS - 5_000)
        early = await wait_ms(hasty)
        late = await wait_ms(store)
        await builders.shift(store, 5_000)

        assert (0, 0) == (early, await wait_ms(store))
        assert 3_000 < late <= 5_000


async def test_longer_gate_without_loss(url: str, store: Store) -> None:
    """Nothing closes because somebody asks for a longer gate where no write was lost."""
    async with asking_for(url, 500) as hasty:
        await builders.seed(hasty, State.RUNNING)

        assert 0 == await wait_ms(store)


@BY_LOSS
async def test_somebody_is_told(store: Store, lose: Loss) -> None:
    """Whoever asked to hear of it is told once that the group's store has lost writes."""
    await builders.seed(store, State.RUNNING)
    heard: list[tuple[str, float]] = []
    store.epochs.reopened.append(lambda group, wait_s: heard.append((group, wait_s)))
    await store.sweep(GROUP)
    quiet = heard.copy()
    await lose(store)
    heard.clear()
    await store.sweep(GROUP)
    await store.sweep(GROUP)

    assert [] == quiet
    assert [(GROUP, GATE_MS / 1000)] == heard
