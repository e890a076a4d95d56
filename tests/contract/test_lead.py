"""The lead of a group: one scheduler has it, under a term that only ever rises."""

import asyncio
from collections.abc import Iterator

import pytest

from rota.common import keys
from rota.common.link import Link
from rota.common.run import Lead
from rota.common.scripts import GATE_MS
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, HOUR_MS
from tests.support.proxy import Proxy

TTL_MS = 6_000


async def ask(store: Store, scheduler: str, *, wanted: bool = True, led_last: bool = False) -> Lead:
    """Return the answer to a scheduler that wants to lead, or only stands by."""
    return await store.lead(GROUP, scheduler, TTL_MS, wanted=wanted, led_last=led_last)


@pytest.fixture
def other(url: str, runner: asyncio.Runner) -> Iterator[Store]:
    """Return the same store as another process sees it, which has never asked it anything."""
    other = Store(Link(url))
    yield other
    runner.run(other.link.close())


async def test_first_come(store: Store) -> None:
    """Who asks first leads; who comes later hears who does, and how many there are."""
    first = await ask(store, "a")
    second = await ask(store, "b")

    assert first.term > 0
    assert ("a", 1) == (first.leader, first.schedulers)
    assert (0, "a", 2) == (second.term, second.leader, second.schedulers)


async def test_one_of_many(url: str) -> None:
    """Of many that ask at the same time exactly one leads."""
    stores = [Store(Link(url)) for _ in range(20)]
    leads = await asyncio.gather(*(ask(s, f"s{n}") for n, s in enumerate(stores)))
    for each in stores:
        await each.link.close()

    assert 1 == len([lead for lead in leads if lead.term])
    assert 1 == len({lead.leader for lead in leads})


async def test_renewal(store: Store) -> None:
    """Who goes on asking in time leads on in the same term, however long."""
    first = await ask(store, "a")
    for _ in range(5):
        await builders.shift(store, TTL_MS - 100)

        assert first.term == (await ask(store, "a")).term
        assert 0 == (await ask(store, "b", wanted=False)).term


async def test_takeover(store: Store) -> None:
    """When the leader has been silent for its time another one leads, in a later term."""
    first = await ask(store, "a")
    await builders.shift(store, TTL_MS - 100)
    early = await ask(store, "b")
    await builders.shift(store, 200)
    late = await ask(store, "b")
    back = await ask(store, "a")

    assert 0 == early.term
    assert late.term > first.term
    assert (0, "b") == (back.term, back.leader)


async def test_standing_by(store: Store) -> None:
    """Who does not want to lead hears that nobody does."""
    lead = await ask(store, "a", wanted=False)

    assert (0, "", 1) == (lead.term, lead.leader, lead.schedulers)


async def test_resigning(store: Store) -> None:
    """A leader that resigns is followed at once; who has no lead can't resign another's."""
    first = await ask(store, "a")
    await store.resign(GROUP, "b")
    kept = await ask(store, "a")
    await store.resign(GROUP, "a")
    second = await ask(store, "b")

    assert first.term == kept.term
    assert second.term > first.term
    assert 1 == second.schedulers


async def test_counts_the_living(store: Store) -> None:
    """A scheduler that has been silent for its time counts no more."""
    for name in ("a", "b", "c"):
        await ask(store, name)
    await builders.shift(store, TTL_MS - 100)
    await ask(store, "b")
    await builders.shift(store, 200)

    assert 1 == (await ask(store, "b")).schedulers


@pytest.mark.parametrize("command", [("FLUSHALL",), ("DEL", keys.root(GROUP))])
async def test_the_term_rises_over_a_loss(store: Store, command: tuple[str, ...]) -> None:
    """A term is later than all before it even if the store has forgotten them."""
    terms = [(await ask(store, "a")).term]
    for _ in range(10):
        await store.link.command(*command)
        terms.append((await ask(store, "a", led_last=True)).term)

    assert sorted(set(terms)) == terms


async def test_open_gate(store: Store) -> None:
    """While the gate is open only who led last can lead: it knows what the store may have lost."""
    await ask(store, "a")
    await store.link.command("FLUSHALL")
    stranger = await ask(store, "b")
    again = await ask(store, "a", led_last=True)

    assert (0, "") == (stranger.term, stranger.leader)
    assert 0 < stranger.wait_s <= GATE_MS / 1000
    assert again.term > 0


async def test_closed_gate(store: Store) -> None:
    """When the gate has closed anybody may lead, for who led last may be gone."""
    await ask(store, "a")
    await store.link.command("FLUSHALL")
    await ask(store, "b")
    await builders.shift(store, GATE_MS)
    later = await ask(store, "b")

    assert later.term > 0
    assert 0 == later.wait_s


async def test_lost_reply(url: str, store: Store) -> None:
    """A leader whose answer was lost asks again and is told that it leads, in the same term."""
    async with Proxy(url) as proxy:
        through = Store(Link(proxy.url))
        await ask(through, "b", wanted=False)  # from now on the store knows the script
        proxy.lose_reply()
        with pytest.raises(Exception, match="reached"):
            await ask(through, "a")
        term = await store.link.command("HGET", keys.root(GROUP), "term")
        lead = await ask(through, "a")
        await through.link.close()

    assert 1 == proxy.replies_lost
    assert int(term) == lead.term


async def test_deposed(store: Store, other: Store) -> None:
    """Who led before the present term enqueues nothing, not even what would be a duplicate."""
    old = (await ask(store, "a")).term
    await builders.enqueue(store, builders.occurrence())
    await builders.shift(store, TTL_MS)
    await ask(other, "b")
    before = await builders.snapshot(store, virtual=False)
    runs = [builders.occurrence(), builders.occurrence(job="mail"), builders.occurrence(due_ms=0)]
    words = await store.enqueue({GROUP: runs}, {GROUP: old})

    assert [("deposed", "")] * 3 == words[GROUP]
    assert before == await builders.snapshot(store, virtual=False)


async def test_not_deposed(store: Store) -> None:
    """The leader enqueues in its term, and so does who triggers a run without leading."""
    term = (await ask(store, "a")).term
    led = await store.enqueue({GROUP: [builders.occurrence()]}, {GROUP: term})
    by_hand = await builders.enqueue(store, builders.occurrence(job="mail", due_ms=0))

    assert ["queued"] == [word for word, _ in led[GROUP]]
    assert ["queued"] == [word for word, _ in by_hand]


async def test_led_in_an_older_term_than_that_of_a_leader_that_is_gone(store: Store) -> None:
    """Nobody leads any more, and yet who led before the last leader stays deposed."""
    old = (await ask(store, "a")).term
    await store.resign(GROUP, "a")
    await ask(store, "b")
    await store.resign(GROUP, "b")
    words = await store.enqueue({GROUP: [builders.occurrence()]}, {GROUP: old})

    assert [("deposed", "")] == words[GROUP]


async def test_moves_no_run(store: Store) -> None:
    """To lead and to resign change nothing but who leads."""
    await builders.enqueue(store, builders.occurrence(), builders.occurrence(job="mail"))
    await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + HOUR_MS))
    mine = {keys.root(GROUP), keys.schedulers(GROUP)}
    before = {k: v for k, v in (await builders.snapshot(store)).items() if k not in mine}
    await ask(store, "a")
    await store.resign(GROUP, "a")
    after = {k: v for k, v in (await builders.snapshot(store)).items() if k not in mine}

    assert before == after
