"""`rota.testing` for one handler alone: no store, no worker."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from rota.common.errors import NotFound, UsageError
from rota.testing import Told, call, context
from rota.testing.virtual import moment_ms, span_ms
from rota.worker import Cancelled, Context, Jobs, TaskSpec
from rota.worker.arguments import BadArguments
from rota.worker.invoke import BadResult

jobs = Jobs()
committed: list[int] = []


@contextmanager
def transaction() -> Iterator[list[int]]:
    """Commit what was added, if nothing is raised."""
    batch: list[int] = []
    yield batch
    committed.extend(batch)


@jobs.handler("orders.bill")
async def bill(ctx: Context, count: int) -> int:
    """Bill orders in units; the one at position 7 can't be."""
    units = ctx.units(
        range(count), size=5, transaction=transaction, retries=0, skip_invalid=ValueError
    )
    async for unit in units:
        async with unit as tx:
            for order in unit:
                if order == 7:
                    raise ValueError("no address")
                tx.append(order)
    return len(committed)


@jobs.handler("orders.count", isolation="process")
def count_orders(ctx: Context, upto: int = 3) -> Any:
    """Tell how far it is."""
    for done in range(1, upto + 1):
        ctx.check_cancelled()
        ctx.progress(done, upto, phase="counting")
    return {"upto": upto, "attempt": ctx.attempt} if upto < 10 else object()


@jobs.planner("orders.plan", tasks="orders.bill")
async def plan(ctx: Context) -> AsyncIterator[TaskSpec]:
    """Plan two tasks."""
    for number in range(2):
        yield TaskSpec(key=ctx.tenant, size=number, args={})


@pytest.fixture(autouse=True)
def _nothing_committed() -> None:
    committed.clear()


async def test_a_context() -> None:
    """A context tells the handler what the test says, and keeps what the handler tells."""
    ctx = context("acme", "count", attempt=2, due="2026-02-03 04:05", missed=["2026-02-02"])

    assert {"upto": 3, "attempt": 2} == count_orders(ctx)
    assert [Told(1, 3, "counting"), Told(2, 3, "counting"), Told(3, 3, "counting")] == ctx.told
    assert ("acme", "count", "acme/count:20260203T040500Z") == (ctx.tenant, ctx.job, ctx.job_id)
    assert datetime(2026, 2, 3, 4, 5, tzinfo=UTC) == ctx.due
    assert [datetime(2026, 2, 2, tzinfo=UTC)] == ctx.missed


async def test_units() -> None:
    """Units are committed as in a worker, and the context tells how many, and what was skipped."""
    ctx = context()

    assert 11 == await bill(ctx, 12)
    assert 7 not in committed
    tally = ctx.tallies[""]
    assert (11, 1, 12) == (tally.items, tally.skipped, tally.position)
    assert [(7, "ValueError")] == [(skip.position, skip.kind) for skip in tally.skips]


async def test_units_go_on() -> None:
    """A later attempt goes on behind what earlier ones have committed."""
    await bill(context(attempt=2, committed={"": 10}), 12)

    assert [10, 11] == committed


async def test_calls() -> None:
    """A handler that is called by name has its arguments checked, and its result."""
    assert {"upto": 2, "attempt": 1} == await call(jobs, "orders.count", context(), upto=2)
    with pytest.raises(BadArguments, match="expected `int`"):
        await call(jobs, "orders.count", context(), upto="two")
    with pytest.raises(BadResult, match=r"an? object, can't be sent"):
        await call(jobs, "orders.count", context(), upto=10)
    with pytest.raises(NotFound, match=r"named orders\.cout; there are orders\.bill, "):
        await call(jobs, "orders.cout", context())


async def test_a_planner() -> None:
    """A planner that is called by name returns its specs."""
    specs = await call(jobs, "orders.plan", context("acme"))

    assert [("acme", 0), ("acme", 1)] == [(spec.key, spec.size) for spec in specs]


async def test_cancelled() -> None:
    """A test can ask the handler to end."""
    ctx = context()
    ctx.request_cancel()

    with pytest.raises(Cancelled, match="is to end"):
        count_orders(ctx)


def test_times() -> None:
    """A moment without an offset is UTC; what is none is told."""
    assert moment_ms("2026-01-01 01:00+01:00") == moment_ms("2026-01-01")
    assert 5_400_000 == span_ms("1h30m")
    with pytest.raises(UsageError, match="write a time as 2026-01-31"):
        moment_ms("tomorrow")
    with pytest.raises(UsageError, match="is no duration"):
        span_ms("an hour")
