"""Units of work: each item is committed once, in order, whatever fails; without any store."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rota.common import progress
from rota.common.progress import Tally, Told
from rota.common.run import Claimed
from rota.worker import Cancelled, Context, Fatal, TooManySkipped, Units
from rota.worker.line import Answer
from tests.unit.test_context import REQUEST


class Store:
    """The only thing that outlives an attempt: what was told of a run; `lose` makes it stale."""

    def __init__(self) -> None:
        self.units = b""
        self.progress = 0
        self.stale = False

    def send(self, *, asked: bool = False, progress: bytes = b"", units: bytes = b"") -> Answer:
        """Keep what is told."""
        answer = Answer()
        answer.give(Told("stale") if self.stale else Told("noted", self.units if asked else b""))
        if not self.stale:
            self.units = units or self.units
            self.progress += bool(progress)
        return answer

    def attempt(self) -> Context:
        """Return the context of the next attempt."""
        run = Claimed("gold", "acme/import:20261123T020000Z", 7, 2, 0, b"")
        return Context(run, REQUEST, structlog.get_logger(), line=self)

    @property
    def tally(self) -> Tally:
        """Return what is kept of the only loop."""
        (tally,) = progress.tallies(self.units)
        return tally


class Broken(Exception):
    """Something that is no item's fault."""


class Database:
    """What was committed; a transaction that fails leaves nothing."""

    def __init__(self) -> None:
        self.committed: list[list[int]] = []
        self.opened = 0

    @property
    def items(self) -> list[int]:
        """Return all that was committed."""
        return [item for unit in self.committed for item in unit]

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[list[int]]:
        """Open a transaction."""
        with self.begin_sync() as rows:
            yield rows

    @contextmanager
    def begin_sync(self) -> Iterator[list[int]]:
        """Do so for a thread."""
        self.opened += 1
        rows: list[int] = []
        yield rows
        self.committed.append(rows)


async def work(store: Store, database: Database, items: Any, bad: Any = (), **rules: Any) -> Tally:
    """Do what a handler does; items in `bad` fail with what is there."""
    ctx = store.attempt()
    units = ctx.units(items, transaction=database.begin, **rules)
    async for unit in units:
        async with unit as rows:
            for item in unit:
                if item in bad:
                    raise bad[item]
                rows.append(item)
    return units.tally


async def through(units: Units[Any, Any]) -> None:
    """Loop over units and do nothing."""
    async for _ in units:
        pass


async def stream(count: int) -> AsyncIterator[int]:
    """Yield numbers."""
    for number in range(count):
        yield number


async def later(position: int) -> AsyncIterator[int]:
    """Yield numbers from a position on."""
    for number in range(position, 250):
        yield number


def source(kind: str) -> Any:
    """Return 250 items of one kind or another."""
    sources: dict[str, Any] = {
        "sequence": list(range(250)),
        "iterable": iter(range(250)),
        "async iterable": stream(250),
        "opener": lambda position: iter(range(position, 250)),
        "async opener": later,
    }
    return sources[kind]


SOURCES = ["sequence", "iterable", "async iterable", "opener", "async opener"]


@pytest.mark.parametrize("kind", SOURCES)
async def test_all_committed(kind: str) -> None:
    """All items are committed, so many together, from whatever they come."""
    store, database = Store(), Database()
    tally = await work(store, database, source(kind), size=100)

    assert [100, 100, 50] == [len(unit) for unit in database.committed]
    assert list(range(250)) == database.items
    assert (250, 3, 250, 0) == (tally.items, tally.units, tally.position, tally.failed)
    assert tally == store.tally


@pytest.mark.parametrize("kind", SOURCES)
async def test_goes_on_behind(kind: str) -> None:
    """Another attempt goes on behind the last unit that was committed."""
    store, database = Store(), Database()
    with pytest.raises(OSError, match="no"):
        await work(store, database, source(kind), {150: OSError("no")}, size=100, split=False)
    before = list(database.items)
    tally = await work(store, database, source(kind), size=100)

    assert list(range(100)) == before
    assert list(range(250)) == database.items
    assert (250, 3, 2) == (tally.items, tally.units, tally.failed)


async def test_nothing() -> None:
    """No items are no unit, and no error."""
    store, database = Store(), Database()

    assert Tally() == await work(store, database, [])
    assert [] == database.committed


async def test_tried_again() -> None:
    """A unit that failed is rolled back and tried again as it is; then all is well."""
    store, database = Store(), Database()
    ctx, tries = store.attempt(), []
    async for unit in ctx.units(range(4), 2, transaction=database.begin):
        async with unit as rows:
            tries.append((unit.start, unit.end, unit.tries, unit.key))
            rows.extend(unit)
            if len(tries) == 2:
                raise ConnectionResetError("gone")

    key = "acme/import:20261123T020000Z#"
    assert [(0, 2, 0), (2, 4, 0), (2, 4, 1)] == [tried[:3] for tried in tries]
    assert [f"{key}0-2", f"{key}2-4", f"{key}2-4"] == [tried[3] for tried in tries]
    assert [[0, 1], [2, 3]] == database.committed


async def test_item_at_fault_is_found() -> None:
    """A unit that fails again is split until one item is alone: what was before is committed."""
    store, database = Store(), Database()
    with pytest.raises(KeyError) as caught:
        await work(store, database, range(100), {37: KeyError("no price")}, size=100)

    assert list(range(37)) == database.items
    assert 37 == store.tally.position
    assert ["in the unit of items 37 to 37"] == caught.value.__notes__


async def test_invalid_items_are_skipped() -> None:
    """Invalid items are left out and told; all others are committed, and no error is raised."""
    store, database = Store(), Database()
    bad = {7: ValueError("no customer"), 8: ValueError("no price"), 99: KeyError("tax")}
    with capture_logs() as events:
        tally = await work(
            store, database, range(100), bad, size=50, skip_invalid=(ValueError, KeyError)
        )

    assert [n for n in range(100) if n not in bad] == database.items
    assert (97, 3, 100) == (tally.items, tally.skipped, tally.position)
    assert [(7, "ValueError", "no customer"), (8, "ValueError", "no price")] == [
        (skip.position, skip.kind, skip.message) for skip in tally.skips[:2]
    ]
    assert [7, 8, 99] == [e["position"] for e in events if e["event"] == "item_skipped"]


async def test_invalid_items_cost_little() -> None:
    """To find one invalid item among a hundred takes fewer than 16 transactions."""
    store, database = Store(), Database()
    await work(store, database, range(100), {50: ValueError()}, skip_invalid=ValueError)

    assert database.opened < 16


async def test_too_many_are_invalid() -> None:
    """With more invalid items than are borne the run is given up; earlier attempts count."""
    store, database = Store(), Database()
    bad: dict[int, Exception] = {n: ValueError() for n in (3, 5)} | {6: Broken()}
    rules: dict[str, Any] = {"size": 4, "skip_invalid": ValueError, "max_skipped": 2}
    with pytest.raises(Broken):
        await work(store, database, range(20), bad, **rules)
    bad = {6: ValueError()}
    with pytest.raises(TooManySkipped, match="item 6 is invalid, too, and 2 were skipped"):
        await work(store, database, range(20), bad, **rules)

    assert issubclass(TooManySkipped, Fatal)
    assert [0, 1, 2, 4] == database.items


async def test_skips_are_bounded() -> None:
    """Of many skipped items the first twenty are told one by one; all are counted."""
    store, database = Store(), Database()
    bad = {n: ValueError("x" * 10_000) for n in range(100)}
    tally = await work(store, database, range(100), bad, size=10, skip_invalid=ValueError)

    assert (100, 20) == (tally.skipped, len(tally.skips))
    assert len(store.units) < 4_000


@pytest.mark.parametrize("error", [Fatal("no"), Cancelled("end")])
async def test_raised_at_once(error: Exception) -> None:
    """What must not be tried again is neither repeated nor split."""
    store, database = Store(), Database()
    with pytest.raises(type(error)):
        await work(store, database, range(100), {5: error}, skip_invalid=Exception)

    assert (1, 1) == (database.opened, store.tally.failed)


async def test_failed_commit() -> None:
    """A commit that fails is a unit that failed."""
    store, commits = Store(), list[bool]()

    @asynccontextmanager
    async def begin() -> AsyncIterator[None]:
        yield
        commits.append(len(commits) > 0)
        if not commits[-1]:
            raise ConnectionError("lost")

    ctx = store.attempt()
    async for unit in ctx.units(range(10), 5, transaction=begin):
        async with unit:
            pass

    assert [False, True, True] == commits
    assert (2, 1) == (store.tally.units, store.tally.failed)


async def test_failed_commit_is_raised() -> None:
    """A commit that keeps failing ends the attempt with its own error."""
    store = Store()

    @asynccontextmanager
    async def begin() -> AsyncIterator[None]:
        yield
        raise ConnectionError("lost")

    async def handler() -> None:
        async for unit in store.attempt().units(range(10), 5, transaction=begin, split=False):
            async with unit:
                pass

    with pytest.raises(ConnectionError, match="lost"):
        await handler()

    assert (0, 2) == (store.tally.units, store.tally.failed)


async def test_own_transaction() -> None:
    """A handler may open its transaction inside of the unit."""
    store, database = Store(), Database()
    async for unit in store.attempt().units(range(4), 2):
        async with unit, database.begin() as rows:
            rows.extend(unit)
            if unit.start == 2 and not unit.tries:
                raise Broken

    assert [[0, 1], [2, 3]] == database.committed


async def test_without_entering() -> None:
    """A unit that is not entered is done when the next is asked for, and not if it is left."""
    store = Store()
    async for unit in store.attempt().units(range(6), 2):
        if unit.start == 4:
            break
    left = store.tally.position

    async def fail() -> None:
        async for _ in store.attempt().units(range(6), 2):
            raise Broken

    with pytest.raises(Broken):
        await fail()

    assert 4 == left == store.tally.position


async def test_forgotten_transaction() -> None:
    """Who gives a transaction and does not enter the unit is told so."""
    units = Store().attempt().units(range(6), 2, transaction=Database().begin)
    with pytest.raises(RuntimeError, match="enter it"):
        await through(units)


async def test_lost_run() -> None:
    """A run that is not ours any more ends behind the unit that was under way."""
    store, database = Store(), Database()

    async def handler() -> None:
        async for unit in store.attempt().units(range(6), 2, transaction=database.begin):
            async with unit as rows:
                rows.extend(unit)
                store.stale = True

    with pytest.raises(Cancelled, match="the lease was lost"):
        await handler()

    assert [[0, 1]] == database.committed


async def test_cancelled_between_units() -> None:
    """A run that is to end does so before the next unit."""
    store = Store()
    ctx = store.attempt()

    async def handler() -> None:
        async for _ in ctx.units(range(6), 2):
            ctx.request_cancel()

    with pytest.raises(Cancelled):
        await handler()

    assert 2 == store.tally.position


async def test_done_elsewhere() -> None:
    """What the handler itself knows to be committed is not done again, and counts."""
    store, database = Store(), Database()
    with pytest.raises(Broken):
        await work(store, database, range(6), {2: Broken()}, size=2)
    tally = await work(store, database, range(6), size=2, done=4)

    assert [0, 1, 4, 5] == database.items
    assert (6, 3) == (tally.items, tally.units)


async def test_several_loops() -> None:
    """Loops with names are kept apart; two of one name are refused."""
    store, done = Store(), list[int]()
    ctx = store.attempt()
    async for unit in ctx.units(range(4), 2, name="create"):
        done.extend(unit)
    with pytest.raises(ValueError, match="two loops are named 'create'"):
        await through(ctx.units(range(4), 2, name="create"))
    async for unit in ctx.units(range(2), 2, name="post"):
        done.extend(unit)
    ctx = store.attempt()
    async for unit in ctx.units(range(6), 2, name="create"):
        done.extend(unit)

    assert [0, 1, 2, 3, 0, 1, 4, 5] == done
    assert {"create": 6, "post": 2} == {t.name: t.items for t in progress.tallies(store.units)}


def test_in_a_thread() -> None:
    """A plain function has the same with `for` and `with`."""
    store, database = Store(), Database()
    bad: dict[int, Exception] = {3: ValueError()}
    units = store.attempt().units(
        range(10), 4, transaction=database.begin_sync, skip_invalid=ValueError
    )
    for unit in units:
        with unit as rows:
            for item in unit:
                if item in bad:
                    raise bad[item]
                rows.append(item)

    assert [n for n in range(10) if n != 3] == database.items
    assert (9, 1, 10) == (units.tally.items, units.tally.skipped, units.tally.position)
    unit = next(iter(Store().attempt().units(range(3), transaction=database.begin)))
    with pytest.raises(TypeError, match="async for"):
        unit.__enter__()
    with pytest.raises(TypeError, match="async for"):
        list(store.attempt().units(stream(3)))


async def test_not_on_a_loop() -> None:
    """A `for` that would stop the event loop for ever is refused."""
    with pytest.raises(RuntimeError, match="async for"):
        list(Store().attempt().units(range(3)))


@pytest.mark.parametrize("rules", [{"size": 0}, {"done": -1}, {"max_skipped": -1}, {"sise": 3}])
async def test_nonsense(rules: dict[str, Any]) -> None:
    """Rules that can't be kept are refused at once."""
    with pytest.raises((ValueError, TypeError)):
        Store().attempt().units(range(3), **rules)


async def test_reports_by_itself() -> None:
    """Units tell how far they are: 500 of them no more than 21 times."""
    store = Store()
    await through(store.attempt().units(range(50_000)))

    assert 2 <= store.progress <= 21
    assert (500, 50_000) == (store.tally.units, store.tally.total)


@given(
    size=st.integers(1, 9),
    invalid=st.sets(st.integers(0, 30)),
    faults=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=6),
    streams=st.booleans(),
)
def test_any_failures(
    size: int, invalid: set[int], faults: list[tuple[int, int]], streams: bool
) -> None:
    """Whatever fails, and however each attempt cuts: valid items are committed once, in order."""
    store, database = Store(), Database()
    for fault, cut in [*faults, (-1, size)]:
        bad: dict[int, Exception] = {n: ValueError() for n in invalid} | {fault: Broken()}
        items = iter(range(31)) if streams else range(31)
        with suppress(Broken):
            asyncio.run(work(store, database, items, bad, size=cut, skip_invalid=ValueError))

    assert [n for n in range(31) if n not in invalid] == database.items
    assert (31 - len(invalid), len(invalid)) == (store.tally.items, store.tally.skipped)
