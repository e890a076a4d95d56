"""What is due reaches the store in as few round trips as can be, exactly once, whatever happens."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from rota.common import keys, message
from rota.common.embedded import EmbeddedStore
from rota.common.job import Job, Overlap
from rota.common.ledger import Ledger, Note
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.link import Call, Link
from rota.common.state import State
from rota.common.store import Store
from rota.scheduler.awaited import Awaited
from rota.scheduler.dispatcher import Dispatcher
from rota.scheduler.line import Kind, Stretch, Turn
from tests.support import builders, probe
from tests.support.builders import DUE_MS, GROUP, Clock
from tests.support.definitions import job
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy

REF = "acme/import"
WORDS_OF_A_RUN = 11  # values that `enqueue.lua` takes for each run


class Counting(Link):
    """A link that keeps, for each round trip, how many runs went to which group."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.trips: list[dict[str, int]] = []
        self.meanwhile: Callable[[], None] = lambda: None  # called before each reply is passed on

    async def attempt(self, calls: Sequence[Call], *, apart: bool = False) -> list[Any]:
        """Take note and go on."""
        self.trips.append({call.root: len(call.args) // WORDS_OF_A_RUN for call in calls})
        replies = await super().attempt(calls, apart=apart)
        self.meanwhile()
        return replies


class Heard:
    """What a dispatcher tells the engine of what the store answered."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, int]] = []
        self.busy: list[tuple[str, int, str]] = []
        self.finished: list[tuple[str, int]] = []
        self.recorded: list[tuple[Note, int | None]] = []

    def accepted(self, ref: str, due_ms: int) -> None:
        """Take note."""
        self.taken.append((ref, due_ms))

    def refused(self, ref: str, due_ms: int, run_id: str) -> None:
        """Take note."""
        self.busy.append((ref, due_ms, run_id))

    def over(self, ref: str, due_ms: int) -> None:
        """Take note."""
        self.finished.append((ref, due_ms))

    def noted(self, note: Note, cursor_ms: int | None = None) -> None:
        """Take note."""
        self.recorded.append((note, cursor_ms))


class Rig:
    """A dispatcher and all it works on."""

    def __init__(self, url: str) -> None:
        self.link = Counting(url)
        self.awaited = Awaited()
        self.engine = Heard()
        self.terms: dict[str, int] = {}
        self.book = Logbook()
        self.dispatcher = Dispatcher(
            store=Store(self.link),
            awaited=self.awaited,
            answered=lambda: self.engine,
            terms=lambda: self.terms,
            clock=Clock(),
            log=self.book.log,
        )

    async def close(self) -> None:
        """Stop it and its connections."""
        await self.dispatcher.stop()
        await self.link.close()


@pytest.fixture
def rig(url: str, runner: asyncio.Runner) -> Iterator[Rig]:
    """Return a dispatcher that is not started, on an empty store."""
    rig = Rig(url)
    yield rig
    runner.run(rig.close())


def members(count: int, group: str = GROUP) -> list[Job]:
    """Return jobs of different tenants of one group."""
    return [job(f"{group}-{n}/import", every="1h", group=group) for n in range(count)]


async def queued(store: Store, group: str = GROUP) -> int:
    """Return how many runs wait in the queues of a group."""
    names = await store.link.command("KEYS", keys.queue(group, "*"))
    return sum([await store.link.command("LLEN", name) for name in names])


async def test_one_round_trip(rig: Rig, store: Store) -> None:
    """What is fired in one turn of the loop goes to all groups in one round trip."""
    await rig.dispatcher.start()
    fired = [*members(3), *members(2, "silver"), *members(1, "free")]
    for each in fired:
        rig.dispatcher.fire(each, Turn(DUE_MS))
    await probe.until(lambda: len(rig.awaited) == len(fired))

    assert [{keys.root(GROUP): 3, keys.root("silver"): 2, keys.root("free"): 1}] == rig.link.trips
    assert 3 == await queued(store)
    assert 2 == await queued(store, "silver")


async def test_batches(rig: Rig, store: Store) -> None:
    """No script takes more than 500 runs; what is more follows at once, and all groups go along."""
    await rig.dispatcher.start()
    for each in [*members(1_101), *members(501, "silver")]:
        rig.dispatcher.fire(each, Turn(DUE_MS))
    await probe.until(lambda: len(rig.awaited) == 1_602)
    gold, silver = keys.root(GROUP), keys.root("silver")

    assert [{gold: 500, silver: 500}, {gold: 500, silver: 1}, {gold: 101}] == rig.link.trips
    assert 1_101 == await queued(store)
    assert 501 == await queued(store, "silver")


async def test_what_is_sent(rig: Rig, store: Store) -> None:
    """A run is enqueued with its job's handler, arguments, attempts and due time."""
    args = {"source": "ftp", "days": [1, 2]}
    each = job(every="1h", handler="orders.import", args=args, timeout_ms=5_000)
    await rig.dispatcher.start()
    rig.dispatcher.fire(each, Turn(DUE_MS))
    await probe.until(lambda: rig.awaited.job_id(REF))
    await builders.register(store)
    run = (await builders.claim(store)).runs[0]

    assert "acme/import:20270115T080000Z" == run.job_id
    assert DUE_MS == run.due_ms
    assert message.request_for(each) == message.decode_request(run.body)


async def test_fired_meanwhile(rig: Rig) -> None:
    """What is fired while a round trip is under way goes with the next one."""
    first, second = members(2)
    rig.link.meanwhile = lambda: rig.dispatcher.fire(second, Turn(DUE_MS))
    rig.dispatcher.fire(first, Turn(DUE_MS))
    delay = await rig.dispatcher.turn()

    assert 0 == delay
    assert rig.awaited.job_id(first.ref)
    assert rig.awaited.job_id(second.ref) is None

    rig.link.meanwhile = lambda: None
    await rig.dispatcher.turn()

    assert rig.awaited.job_id(second.ref)
    assert [{keys.root(GROUP): 1}, {keys.root(GROUP): 1}] == rig.link.trips


async def test_nothing_due(rig: Rig) -> None:
    """Where nothing is due no round trip is made."""
    delay = await rig.dispatcher.turn()

    assert delay is None
    assert [] == rig.link.trips


async def test_lost_reply(url: str, store: Store) -> None:
    """A round trip whose reply is lost is made again, and the run is there once."""
    async with Proxy(url) as proxy:
        rig = Rig(proxy.url)
        await rig.link.command("PING")
        await rig.dispatcher.start()
        proxy.lose_reply()
        rig.dispatcher.fire(job(every="1h"), Turn(DUE_MS))
        await probe.until(lambda: rig.awaited.job_id(REF))
        await rig.close()

    assert 1 == proxy.replies_lost
    assert 1 == await queued(store)
    assert ["store_lost"] == rig.book.complaints()
    assert 1 == len(rig.book.events("store_found"))


async def test_store_away() -> None:
    """What is due while the store is away is kept, and sent once when it is back."""
    with EmbeddedStore() as server:
        rig = Rig(server.url)
        await rig.dispatcher.start()
        server.stop()
        for due_ms, each in enumerate(members(3), DUE_MS):
            rig.dispatcher.fire(each, Turn(due_ms))
        await probe.until(lambda: rig.book.events("store_lost"))
        server.start()
        await probe.until(lambda: len(rig.awaited) == 3)

        assert 3 == await queued(Store(rig.link))

        await rig.close()

    assert [] == rig.engine.finished


async def test_duplicate(rig: Rig, store: Store) -> None:
    """An occurrence that is in flight already is awaited as if it were enqueued now."""
    run = builders.occurrence()
    await builders.enqueue(store, run)
    rig.dispatcher.fire(job(every="1h"), Turn(DUE_MS))
    await rig.dispatcher.turn()

    assert run.job_id == rig.awaited.job_id(REF)
    assert 1 == await queued(store)
    assert [] == rig.engine.finished
    assert [] == rig.book.complaints()


async def test_busy(rig: Rig, store: Store) -> None:
    """Where another run of the job is in flight, that one is awaited, and the engine is told."""
    run = builders.occurrence(due_ms=0)
    await builders.enqueue(store, run)
    rig.dispatcher.fire(job(every="1h"), Turn(DUE_MS))
    await rig.dispatcher.turn()

    assert run.job_id == rig.awaited.job_id(REF)
    assert 1 == await queued(store)
    assert [(REF, DUE_MS, run.job_id)] == rig.engine.busy


async def test_notes(rig: Rig, store: Store) -> None:
    """What is not run is recorded, in order, and answered; what the store knows better, too."""
    each = job(every="1h")
    first = Note(REF, "blackout", "08:00..18:00", DUE_MS, DUE_MS, 1)
    second = Note(REF, "missed", "down", DUE_MS + 1, DUE_MS + 5, 5)
    rig.dispatcher.note(each, [first, second])
    await rig.dispatcher.turn()
    again = second._replace(to_ms=DUE_MS + 9)
    rig.dispatcher.note(each, [again])
    await rig.dispatcher.turn()
    entries = await Ledger(store.link).of(GROUP, REF, 0)

    assert [("missed", DUE_MS + 5), ("blackout", DUE_MS)] == [(e.outcome, e.at_ms) for e in entries]
    assert [(first, None), (second, None), (again, DUE_MS + 5)] == rig.engine.recorded


@pytest.mark.parametrize(
    ("overlap", "waiting", "event", "field"),
    [
        ("skip", True, "occurrence_skipped", "waiting"),
        ("skip", False, "occurrence_skipped", "running"),
        ("cancel", False, "run_superseded", "running"),
        ("queue_all", False, "occurrence_waits", "running"),
    ],
)
async def test_overlap_is_told(
    rig: Rig, overlap: Overlap, waiting: bool, event: str, field: str
) -> None:
    """The log says what becomes of an occurrence whose job is busy, and which run is in the way."""
    way = builders.occurrence().job_id
    what = Stretch(Kind.OVERLAPS, DUE_MS, DUE_MS, 1, way=way)
    rig.dispatcher.decided(job(every="1h", overlap=overlap), what, waiting=waiting)
    (told,) = rig.book.events(event)

    assert ("acme", "import", "2027-01-15T08:00:00Z", way) == (
        *(told["tenant"], told["job"], told["due"]), told[field],
    )  # fmt: skip


async def test_blackout_is_told(rig: Rig) -> None:
    """The log says which blackout keeps an occurrence back."""
    what = Stretch(Kind.NOTED, DUE_MS, DUE_MS, 1, "blackout", "08:00..18:00 (busy)")
    rig.dispatcher.decided(job(every="1h"), what, waiting=False)
    (told,) = rig.book.events("occurrence_skipped")

    assert ("blackout", "08:00..18:00 (busy)") == (told["reason"], told["detail"])


async def test_catching_up(rig: Rig, store: Store) -> None:
    """A run that makes up for others is told of them, and waits behind all others of its tenant."""
    late = Turn(DUE_MS, missed=(1, 2), late=True)
    rig.dispatcher.fire(job(every="1h", priority="high"), late)
    rig.dispatcher.fire(job("acme/live", every="1h"), Turn(DUE_MS))
    await rig.dispatcher.turn()
    await builders.register(store)
    first, second = (await builders.claim(store, 2)).runs

    assert ("acme/live", REF) == (first.job_id.partition(":")[0], second.job_id.partition(":")[0])
    assert (1, 2) == message.decode_request(second.body).missed
    assert () == message.decode_request(first.body).missed


async def test_taken_back(rig: Rig) -> None:
    """What was not sent can be taken back; of other jobs nothing is."""
    first, second, third = members(3)
    note = Note(second.ref, "lost", "", 1, 1, 1)
    turns = Turn(DUE_MS, busy_ms=5), Turn(DUE_MS, missed=(1, 2), busy_ms=7, late=True)
    rig.dispatcher.fire(first, turns[0])
    rig.dispatcher.fire(third, turns[1])
    rig.dispatcher.note(second, [note])

    assert [[turns[0]], [turns[1]]] == [rig.dispatcher.take(each) for each in (first, third)]
    assert [note] == rig.dispatcher.take(second)
    assert await rig.dispatcher.turn() is None


async def test_superseded_while_it_waits(rig: Rig, store: Store) -> None:
    """With `overlap: cancel` an occurrence that waits for the gate is cancelled when it is sent."""
    await builders.enqueue(store, builders.occurrence("bolt"))
    await builders.change_server(store)
    each = job(every="1h", overlap="cancel")
    rig.dispatcher.fire(each, Turn(DUE_MS))
    await rig.dispatcher.turn()
    rig.dispatcher.cancel(each, builders.occurrence().job_id)
    await rig.dispatcher.turn()
    await builders.close_gate(store)
    await rig.dispatcher.turn()
    sent = await queued(store)
    await rig.dispatcher.turn()

    assert (2, 1) == (sent, await queued(store))


async def test_past(rig: Rig, store: Store) -> None:
    """An occurrence that is over already frees its job for the next one, and is not run again."""
    seeded = await builders.seed(store, State.SUCCEEDED)
    rig.dispatcher.fire(job(every="1h"), Turn(seeded.run.due_ms))
    await rig.dispatcher.turn()

    assert [(REF, DUE_MS)] == rig.engine.finished
    assert rig.awaited.job_id(REF) is None
    assert 0 == await queued(store)


async def test_end_of_what_is_in_the_way_overtakes(rig: Rig, store: Store) -> None:
    """A run in the way whose end was heard before the answer came is not waited for."""
    way = await builders.seed(store, State.RUNNING, due_ms=0)
    rig.dispatcher.fire(job(every="1h"), Turn(DUE_MS))
    rig.link.meanwhile = lambda: rig.dispatcher.over(way.run.job_id)
    await rig.dispatcher.turn()
    rig.link.meanwhile = lambda: None
    await builders.complete(store, way.run)
    await rig.dispatcher.turn()

    assert [] == rig.engine.busy
    assert [(REF, DUE_MS)] == rig.engine.taken


async def test_stop_sends_what_is_left(rig: Rig, store: Store) -> None:
    """What was fired before the stop is sent, all of it."""
    await rig.dispatcher.start()
    for each in members(501):
        rig.dispatcher.fire(each, Turn(DUE_MS))
    await rig.dispatcher.stop()

    assert 501 == await queued(store)


async def test_stop_while_the_store_is_away() -> None:
    """A store that is away does not keep the dispatcher from stopping; what is lost is told."""
    with EmbeddedStore() as server:
        rig = Rig(server.url)
        await rig.dispatcher.start()
        server.stop()
        rig.dispatcher.fire(job(every="1h"), Turn(DUE_MS))
        await probe.until(lambda: rig.book.events("store_lost"))
        async with asyncio.timeout(10):
            await rig.close()

    assert ["store_lost", "occurrences_not_sent"] == rig.book.complaints()


@pytest.mark.parametrize("schedule", [{"every": "1h"}, {"after": "1h"}])
async def test_shed(rig: Rig, schedule: dict[str, str]) -> None:
    """An occurrence beyond the tenant's max_backlog is over, for good, and the log says so."""
    limits = GroupLimits(tenants={"acme": TenantLimits(max_backlog=1)})
    await Limiter(Store(rig.link)).limit(GROUP, limits)
    rig.dispatcher.fire(job("acme/first", every="1h"), Turn(DUE_MS))
    rig.dispatcher.fire(job("acme/second", **schedule), Turn(DUE_MS))
    await rig.dispatcher.turn()

    assert ["acme/second"] == [ref for ref, _ in rig.engine.finished]
    assert not rig.awaited.job_id("acme/second")
    assert [("acme", "second", "2027-01-15T08:00:00Z", "max_backlog")] == [
        (e["tenant"], e["job"], e["due"], e["reason"]) for e in rig.book.events("occurrence_shed")
    ]
    assert await rig.dispatcher.turn() is None
