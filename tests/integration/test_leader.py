"""A leader leads only while it may: it stops in time, and takes up again."""

import asyncio
from collections.abc import Iterator

import pytest

from rota.common import clock as clocks
from rota.common import keys
from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from rota.common.scripts import GATE_MS
from rota.common.store import Store
from rota.scheduler import leader
from rota.scheduler.balance import Balance
from rota.scheduler.leader import TTL, Leader
from tests.support import builders, probe
from tests.support.builders import GROUP, Clock
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy

TTL_MS = round(TTL * 1000)


class Group:
    """Notes what a leader does for its group."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.breaks = False
        self.ready = asyncio.Event()  # until then it begins
        self.ready.set()

    async def begin(self) -> int:
        """Begin, or fail."""
        if self.breaks:
            raise StoreUnavailable("gone in this moment")
        self.did.append("begin")
        await self.ready.wait()
        return 0

    async def end(self) -> None:
        """End."""
        self.did.append("end")

    def forget(self) -> None:
        """Forget."""
        self.did.append("forget")


class Rig:
    """A leader that is not started; its clock stands still unless it is given another one."""

    def __init__(self, url: str, name: str, clock: clocks.Clock | None = None) -> None:
        self.link = Link(url)
        self.clock = Clock()
        self.group = Group()
        self.balance = Balance(1)
        self.book = Logbook()
        self.leader = Leader(
            GROUP,
            scheduler_id=name,
            led=self.group,
            balance=self.balance,
            store=Store(self.link),
            clock=clock or self.clock,
            log=self.book.log,
        )


@pytest.fixture
def rigs(url: str, runner: asyncio.Runner) -> Iterator[tuple[Rig, Rig]]:
    """Return two leaders of one group, who have not asked yet."""
    pair = Rig(url, "a"), Rig(url, "b")
    yield pair
    for rig in pair:
        runner.run(rig.link.close())


async def test_one_leads(rigs: tuple[Rig, Rig]) -> None:
    """The first one begins, once; the second one stands by."""
    first, second = rigs
    for _ in range(3):
        for rig in rigs:
            await rig.leader.turn()

    assert ["begin"] == first.group.did
    assert [] == second.group.did
    assert first.leader.term > 0 == second.leader.term


async def test_takes_over(rigs: tuple[Rig, Rig], store: Store) -> None:
    """When the leader is silent a standby begins, and who was silent ends as soon as it hears."""
    first, second = rigs
    await first.leader.turn()
    old = first.leader.term
    await builders.shift(store, TTL_MS)
    await second.leader.turn()

    assert ["begin"] == second.group.did
    assert second.leader.term > old

    await first.leader.turn()

    assert ["begin", "end", "forget"] == first.group.did
    assert 0 == first.leader.term
    assert ["group_lost"] == first.book.complaints()


async def test_stop_hands_over(rigs: tuple[Rig, Rig]) -> None:
    """Who stops ends first and then leaves the group to whoever asks next, at once."""
    first, second = rigs
    for rig in rigs:
        await rig.leader.turn()
    await first.leader.stop()
    await second.leader.turn()

    assert ["begin", "end", "forget"] == first.group.did
    assert ["begin"] == second.group.did
    assert [] == first.book.complaints()


async def test_error_means_not_leader(url: str) -> None:
    """Who gets no answer does not lead, though the store may believe it; it asks again."""
    async with Proxy(url) as proxy:
        rig = Rig(proxy.url, "a")
        await rig.link.command("PING")
        await proxy.cut()
        with pytest.raises(StoreUnavailable):
            await rig.leader.turn()

        assert 0 == rig.leader.term
        assert [] == rig.group.did
        assert rig.balance.may_take()

        await proxy.mend()
        await rig.leader.turn()

        assert ["begin"] == rig.group.did

        await rig.link.close()


async def test_answer_lost(url: str, store: Store) -> None:
    """Who was given the lead and has not heard of it does not lead, and does when it asks again."""
    async with Proxy(url) as proxy:
        rig = Rig(proxy.url, "a")
        await store.lead(GROUP, "b", TTL_MS, wanted=False)  # now the store knows the script
        await rig.link.command("PING")
        proxy.lose_reply()
        with pytest.raises(StoreUnavailable):
            await rig.leader.turn()
        believed = await store.link.command("HGET", keys.root(GROUP), "leader")

        assert b"a" == believed
        assert 0 == rig.leader.term
        assert [] == rig.group.did

        await rig.leader.turn()

        assert ["begin"] == rig.group.did

        await rig.link.close()


async def test_begin_fails(rigs: tuple[Rig, Rig]) -> None:
    """Who can't begin does not lead, and tries again."""
    rig, _ = rigs
    rig.group.breaks = True
    with pytest.raises(StoreUnavailable):
        await rig.leader.turn()

    assert 0 == rig.leader.term
    assert set() == rig.balance.led

    rig.group.breaks = False
    await rig.leader.turn()

    assert ["begin"] == rig.group.did
    assert {GROUP} == rig.balance.led


async def test_begins_for_long(rigs: tuple[Rig, Rig], monkeypatch: pytest.MonkeyPatch) -> None:
    """A group whose begin outlasts the lease is led all the time, and by one alone."""
    monkeypatch.setattr(leader, "TTL", 0.6)
    monkeypatch.setattr(leader, "_MARGIN", 0.2)
    first, second = rigs
    first.group.ready.clear()
    await first.leader.start()
    await probe.until(lambda: first.group.did == ["begin"])
    end = clocks.SystemClock().monotonic() + 3 * 0.6
    while clocks.SystemClock().monotonic() < end:
        await second.leader.turn()
        await asyncio.sleep(0.05)
    early = first.book.events("group_led")
    first.group.ready.set()
    await probe.until(lambda: first.book.events("group_led"))
    await first.leader.stop()

    assert [] == early
    assert [] == second.group.did
    assert ["begin", "end", "forget"] == first.group.did
    assert [] == first.book.complaints()


@pytest.mark.parametrize("cut", [False, True])
async def test_lost_while_it_begins(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """Who loses the lead, or the store, while the group begins ends what has begun, and no more."""
    monkeypatch.setattr(leader, "TTL", 0.9)
    monkeypatch.setattr(leader, "_MARGIN", 0.3)
    async with Proxy(url) as proxy:
        rig = Rig(proxy.url, "a", clocks.SystemClock())
        rig.group.ready.clear()
        await rig.leader.start()
        await probe.until(lambda: rig.group.did == ["begin"])
        if cut:
            await proxy.cut()
        else:
            await builders.shift(store, TTL_MS)
            await store.lead(GROUP, "b", TTL_MS, wanted=True)
        await probe.until(lambda: "end" in rig.group.did)

        assert 0 == rig.leader.term
        assert set() == rig.balance.led
        assert rig.leader._beginning is None

        await rig.leader.stop()
        await rig.link.close()

    assert [] == rig.book.events("group_led")


@pytest.mark.parametrize("half_open", [False, True])
async def test_cut_off(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch, half_open: bool
) -> None:
    """A leader that can't reach the store ends before its lease does, and takes up again later.

    What was under way is kept in mind: the store may come back without it.
    """
    monkeypatch.setattr(leader, "TTL", 1.2)
    monkeypatch.setattr(leader, "_MARGIN", 0.4)
    async with Proxy(url) as proxy:
        rig = Rig(proxy.url, "a", clocks.SystemClock())
        await rig.leader.start()
        await probe.until(lambda: rig.group.did == ["begin"])
        if half_open:
            proxy.swallow()
        else:
            await proxy.cut()
        await probe.until(lambda: rig.group.did == ["begin", "end"])
        until = int(await store.link.command("HGET", keys.root(GROUP), "led_until"))
        seconds, micros = await store.link.command("TIME")

        assert int(seconds) * 1000 + int(micros) // 1000 < until
        assert 0 == rig.leader.term

        if half_open:
            proxy.swallow(False)
        else:
            await proxy.mend()
        await probe.until(lambda: rig.group.did == ["begin", "end", "begin"])
        await rig.leader.stop()
        await rig.link.close()


async def test_store_forgets(rigs: tuple[Rig, Rig], store: Store) -> None:
    """Where the store has forgotten who leads, the same one leads on, in a later term."""
    first, second = rigs
    for rig in rigs:
        await rig.leader.turn()
    old = first.leader.term
    await store.link.command("FLUSHALL")
    for _ in range(3):
        await second.leader.turn()
    await first.leader.turn()

    assert [] == second.group.did
    assert ["begin", "end", "begin"] == first.group.did
    assert first.leader.term > old


async def test_store_forgets_and_the_leader_is_gone(rigs: tuple[Rig, Rig], store: Store) -> None:
    """Where the store has forgotten the leader, and it is gone, another one waits for the gate."""
    first, second = rigs
    for rig in rigs:
        await rig.leader.turn()
    await store.link.command("FLUSHALL")
    await second.leader.turn()
    early = list(second.group.did)
    await builders.shift(store, GATE_MS)
    await second.leader.turn()

    assert [] == early
    assert ["begin"] == second.group.did
    assert ["begin"] == first.group.did


async def test_gives_up_what_is_too_much(rigs: tuple[Rig, Rig]) -> None:
    """Who leads more than its share gives a group up, and leaves it to others for a while."""
    first, second = rigs
    await first.leader.turn()
    await second.leader.turn()
    first.balance.led.add("silver")  # one of two schedulers leads both of two groups
    first.balance.groups = 2
    for _ in range(2):
        await first.leader.turn()
    first.balance.led.clear()
    await first.leader.turn()
    given = list(first.group.did)
    await second.leader.turn()

    assert ["begin", "end", "forget"] == given == first.group.did
    assert ["begin"] == second.group.did


async def test_nobody_takes_what_is_given_up(rigs: tuple[Rig, Rig]) -> None:
    """Who gave a group up takes it again when nobody else has taken it."""
    rig, gone = rigs
    await rig.leader.turn()
    await gone.leader.turn()
    rig.balance.led |= {"silver", "bronze"}
    rig.balance.groups = 3
    for _ in range(2):
        await rig.leader.turn()
    rig.balance.led.clear()
    await rig.leader.turn()
    early = list(rig.group.did)
    rig.clock.advance(TTL)
    await rig.leader.turn()

    assert ["begin", "end", "forget"] == early
    assert ["begin", "end", "forget", "begin"] == rig.group.did


async def test_stays_free_too_long(rigs: tuple[Rig, Rig]) -> None:
    """A group that nobody takes is taken even by a scheduler that has its share."""
    rig, other = rigs
    await other.leader.turn()
    await rig.leader.turn()
    await other.leader.stop()
    rig.balance.led.add("silver")
    delays = [await rig.leader.turn() for _ in range(2)]
    early = list(rig.group.did)
    rig.clock.advance(TTL / 3)
    await rig.leader.turn()

    assert max(delays) < TTL / 3
    assert [] == early
    assert ["begin"] == rig.group.did
