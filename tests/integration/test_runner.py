"""The runner: every way in which an attempt ends has one report, and it is worded right."""

import contextvars
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rota.common import message
from rota.common.job import Retry
from rota.common.message import JobRequest
from rota.common.run import Ended, Resting
from rota.worker import Context, Fatal, Jobs
from tests.support import child_app, workers
from tests.support.bench import bench, completion, error, serving
from tests.support.builders import GROUP, HANDLER

SUPPORT = Path(__file__).parent.parent / "support"


async def test_success() -> None:
    """A handler is told all about its run; its result and how it went come back."""
    seen: list[Context] = []

    async def handler(ctx: Context, source: str, limit: int = 10) -> dict[str, Any]:
        seen.append(ctx)
        return {"source": source, "limit": limit}

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request(args={"source": "ftp"}, attempts=5), 2)

    (ctx,) = seen
    assert ("acme", "import", GROUP, HANDLER) == (ctx.tenant, ctx.job, ctx.group, ctx.handler)
    assert ("acme/import:20270115T080000Z", 7) == (ctx.job_id, ctx.fence)
    assert (2, 5) == (ctx.attempt, ctx.attempts)
    assert "2027-01-15T08:00:00+00:00" == ctx.due.isoformat()
    assert isinstance(report, Ended)
    assert {"source": "ftp", "limit": 10} == msgspec.msgpack.decode(report.result)
    said = completion(report)
    assert ("succeeded", 2, "w1") == (said.outcome, said.attempt, said.worker)
    assert ("acme/import", ctx.job_id, None) == (said.ref, said.job_id, said.error)
    assert {"succeeded": 1} == table.runner.counts


async def test_failure_rests() -> None:
    """An attempt that failed says why, and rests before the next one."""

    def handler(ctx: Context) -> None:
        raise ConnectionResetError("the shop hung up")

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request())

    assert isinstance(report, Resting)
    assert 5_000 <= report.rest_ms <= 10_000
    assert ("retrying", report.rest_ms) == (
        completion(report).outcome,
        completion(report).next_ms,
    )
    assert ("ConnectionResetError", "the shop hung up") == (
        error(report).kind,
        error(report).message,
    )
    assert "raise ConnectionResetError" in error(report).traceback
    (logged,) = table.logbook.events("run_failed")
    assert error(report).traceback == logged["traceback"]


async def test_attempts_spent() -> None:
    """The last attempt that fails makes the run a dead letter."""

    async def handler(ctx: Context) -> None:
        raise OSError("no")

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request(attempts=3), 3)

    assert isinstance(report, Ended)
    assert "dead" == report.outcome == completion(report).outcome
    assert "OSError" == error(report).kind


@pytest.mark.parametrize("isolation", ["auto", "process"])
async def test_fatal(isolation: Any, app_path: None) -> None:
    """A handler that says `Fatal` is not tried again, in whatever process it ran."""
    jobs = Jobs()

    @jobs.handler("give-up", isolation=isolation)
    async def give_up(ctx: Context) -> None:
        raise Fatal("no such customer")

    async with bench(jobs) as table:
        report = await table.report(workers.request(handler="give-up"))

    assert isinstance(report, Ended)
    assert ("dead", "Fatal", "no such customer") == (
        report.outcome,
        error(report).kind,
        error(report).message,
    )


@pytest.mark.parametrize("thread", [False, True])
async def test_bad_arguments(thread: bool) -> None:
    """Arguments that don't fit are a dead letter at once: the handler is not called."""
    called: list[str] = []

    def sync(ctx: Context, source: str) -> None:
        called.append(source)

    async def on_loop(ctx: Context, source: str) -> None:
        called.append(source)

    async with bench(serving(sync if thread else on_loop)) as table:
        report = await table.report(workers.request(args={"source": 5}))

    assert isinstance(report, Ended)
    assert ("dead", "BadArguments") == (report.outcome, error(report).kind)
    assert "source" in error(report).message
    assert [] == called


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (b"\xc1nonsense", "malformed"),
        (message.encode({"tenant": "acme"}), "missing required field"),
        (b"\x81\xa4args" + b"\x91" * 100_000, "deep"),
        (message.encode(JobRequest(v=2, tenant="a", job="b", handler="c")), "version 2"),
    ],
)
async def test_unreadable_request(body: bytes, reason: str) -> None:
    """A body that can't be read, or of another version, is a dead letter that still has a name."""
    async with bench(serving(child_app.nothing)) as table:
        report = await table.report(body)

    assert isinstance(report, Ended)
    assert ("dead", "BadRequest") == (report.outcome, error(report).kind)
    assert reason in error(report).message
    assert "acme/import" == completion(report).ref


async def test_unknown_handler() -> None:
    """A request for a handler that the worker does not have is a failed attempt, no crash."""
    async with bench(serving(child_app.nothing)) as table:
        report = await table.report(workers.request(handler="other"))

    assert isinstance(report, Resting)
    assert "other" in error(report).message


async def test_result_that_can_not_be_sent() -> None:
    """A result that can't be sent fails the attempt and says so."""

    async def handler(ctx: Context) -> object:
        return object()

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request())

    assert "BadResult" == error(report).kind


async def test_runs_share_no_context() -> None:
    """What one handler puts into a context variable is not seen by the next."""
    mark = contextvars.ContextVar("mark", default="clean")

    async def handler(ctx: Context) -> str:
        before = mark.get()
        mark.set(ctx.job)
        return before

    async with bench(serving(handler)) as table:
        first = await table.report(workers.request())
        second = await table.report(workers.request())

    assert isinstance(first, Ended)
    assert isinstance(second, Ended)
    assert first.result == second.result == message.encode("clean")


async def test_retry_of_the_request_counts() -> None:
    """One attempt means one: a job without retries is a dead letter after its first failure."""

    async def handler(ctx: Context) -> None:
        raise OSError

    body = message.encode(
        JobRequest(tenant="acme", job="import", handler=HANDLER, retry=Retry(attempts=1))
    )
    async with bench(serving(handler)) as table:
        report = await table.report(body)

    assert isinstance(report, Ended)
    assert "dead" == report.outcome


@pytest.fixture
def app_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children find the module `child_app`."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT))


@pytest.mark.parametrize("fails", [False, True])
async def test_wait_for_a_place(fails: bool) -> None:
    """A report tells what the run waited in the worker; what it took is without that."""

    async def handler(ctx: Context) -> None:
        if fails:
            raise ValueError("no such customer")

    async with bench(serving(handler)) as table:
        report = await table.report(workers.request(), ago=60.0)
        at_once = await table.report(workers.request())

    assert report is not None
    assert at_once is not None
    assert 60_000 <= report.waited_ms
    assert 60_000 > max(completion(report).took_ms, at_once.waited_ms)
