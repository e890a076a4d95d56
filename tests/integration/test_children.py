import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from rota.common.job import Retry
from rota.common.message import JobRequest
from rota.worker import frame
from rota.worker.children import Children, RemoteFailure
from rota.worker.context import Context

SUPPORT = Path(__file__).parent.parent / "support"
PATIENCE = 20.0  # seconds until a probe gives up


@pytest.fixture(autouse=True)
def app_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let children find the module `child_app`."""
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=os.pathsep)


@asynccontextmanager
async def pool(
    app: str = "child_app", limit: int = 2, grace: float = 0.5
) -> AsyncIterator[Children]:
    """Return children that are stopped at the end."""
    children = Children(app, limit=limit, log=structlog.get_logger(), grace=grace)
    await children.start()
    try:
        yield children
    finally:
        await children.stop()


def context(handler: str) -> Context:
    """Return the context of one run of `handler`."""
    run = frame.Run(
        job_id="acme/import:20261123T020000Z",
        group="gold",
        attempt=2,
        due_ms=1_795_399_200_000,
        fence=7,
        request=JobRequest(
            tenant="acme", job="import", handler=handler, retry=Retry(attempts=5), missed=(1, 2)
        ),
    )
    return Context(run, run.request, structlog.get_logger(), deadline_ms=1_795_399_260_000)


async def run(children: Children, handler: str, **args: Any) -> Any:
    """Return the decoded result of a handler, None if it is empty."""
    async with asyncio.timeout(PATIENCE):
        result = await children.run(context(handler), msgspec.msgpack.encode(args))
    return msgspec.msgpack.decode(result) if result else None


async def failure(children: Children, handler: str, **args: Any) -> RemoteFailure:
    """Return how a run failed."""
    with pytest.raises(RemoteFailure) as caught:
        await run(children, handler, **args)
    return caught.value


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it waits for another process
            await asyncio.sleep(0.01)


async def told(path: Path) -> int:
    """Return the number that a handler wrote to `path`."""
    await until(path.exists)
    return int(path.read_text())


def gone(pid: int) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


async def cancel(task: "asyncio.Task[Any]") -> float:
    """Cancel a run; return the seconds until it had ended."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return loop.time() - began


async def test_result() -> None:
    """A handler in a child gets its arguments in its own types, and its result comes back."""
    async with pool() as children:
        interval = {"first": "2026-11-01", "last": "2026-11-23"}
        result = await run(children, "days", **interval)
        nothing = await children.run(context("nothing"), b"\x80")

    assert 22 == result
    assert b"" == nothing


async def test_context() -> None:
    """A handler in a child is told the same about its run as one in the worker."""
    async with pool() as children:
        described = await run(children, "describe")

    ctx = context("describe")
    assert [1, 2] == described.pop("missed_ms")
    assert {name: getattr(ctx, name) for name in described} == described
    assert (2, 5, 7) == (described["attempt"], described["attempts"], described["fence"])


async def test_reuse() -> None:
    """One child serves one run after another, also after a handler failed or called sys.exit."""
    async with pool() as children:
        first = await run(children, "pid")
        failed = await failure(children, "fail")
        left = await failure(children, "sys-exit")
        last = await run(children, "pid")

    assert os.getpid() != first
    assert first == last
    assert ("ZeroDivisionError", False) == (failed.failure.kind, failed.fatal)
    assert ("SystemExit", "3") == (left.failure.kind, left.failure.message)


async def test_traceback() -> None:
    """The traceback of a failed handler begins in the handler and ends where it failed."""
    async with pool() as children:
        failed = (await failure(children, "fail")).failure

    first = failed.traceback.splitlines()[1]
    assert "division by zero" == failed.message
    assert "child_app.py" in first
    assert "in fail" in first
    assert "return over / under" in failed.traceback


async def test_fatal() -> None:
    """What must not be tried again is told apart: Fatal, and arguments that don't fit."""
    async with pool() as children:
        given_up = await failure(children, "give-up")
        refused = await failure(children, "os-exit", code="one")

    assert (True, "Fatal") == (given_up.fatal, given_up.failure.kind)
    assert (True, "BadArguments") == (refused.fatal, refused.failure.kind)
    assert "argument `code`: expected `int`, got `str`" in refused.failure.message


async def test_crash() -> None:
    """A child that dies fails its own run, saying how it died; the next run gets a new child."""
    async with pool(limit=1) as children:
        ended = await failure(children, "os-exit", code=3)
        killed = await failure(children, "be-killed")
        alive = await run(children, "pid")

    assert "ChildDied" == ended.failure.kind
    assert "exit code 3" in ended.failure.message
    assert ("ChildDied", False) == (killed.failure.kind, killed.fatal)
    assert "SIGKILL" in killed.failure.message
    assert alive


async def test_idle_crash() -> None:
    """An idle child that is killed fails nobody."""
    async with pool() as children:
        first = await run(children, "pid")
        os.kill(first, signal.SIGKILL)
        await until(lambda: not children._idle[0].alive)
        second = await run(children, "pid")

    assert first != second


async def test_print(capfd: pytest.CaptureFixture[str]) -> None:
    """What a handler prints lands on standard error and does no harm; its input is empty."""
    async with pool() as children:
        read = await run(children, "talk")

    out, err = capfd.readouterr()
    words = {"printed", "written", "echoed"}
    assert "" == read
    assert words <= set(err.split())
    assert not words & set(out.split())


async def test_big_result() -> None:
    """A result that is too big is the handler's failure and leaves the child in order."""
    async with pool() as children:
        first = await run(children, "pid")
        failed = await failure(children, "big")
        last = await run(children, "pid")

    assert "BadResult" == failed.failure.kind
    assert first == last


@pytest.mark.parametrize("handler", ["wait", "wait-async", "callback", "give-in"])
async def test_cancel(handler: str, tmp_path: Path) -> None:
    """A cancelled run cleans up and is dead when it has ended; the next run has a new child."""
    async with pool(limit=1, grace=PATIENCE) as children:
        started, cleaned = tmp_path / "started", tmp_path / "cleaned"
        task = asyncio.create_task(run(children, handler, told=str(started), cleaned=str(cleaned)))
        pid = await told(started)
        seconds = await cancel(task)

        assert gone(pid)
        assert seconds < PATIENCE  # it was not killed
        assert 1 == int(cleaned.read_text())
        assert pid != await run(children, "pid")


async def test_cancel_stubborn(tmp_path: Path) -> None:
    """A handler that ignores its cancellation is killed within about a second."""
    async with pool() as children:
        task = asyncio.create_task(run(children, "resist", told=str(tmp_path / "started")))
        pid = await told(tmp_path / "started")
        seconds = await cancel(task)

        assert gone(pid)
        assert 0.4 < seconds < 1.5


async def test_cancel_grandchild(tmp_path: Path) -> None:
    """A program that the handler started goes with it."""
    async with pool() as children:
        task = asyncio.create_task(run(children, "delegate", told=str(tmp_path / "started")))
        pid = await told(tmp_path / "started")
        await cancel(task)
        await until(lambda: gone(pid))


async def test_cancel_while_starting() -> None:
    """A run that is cancelled before its child is ready leaves no child."""
    async with pool(limit=1) as children:
        task = asyncio.create_task(run(children, "pid"))
        await until(lambda: bool(children._all))
        (child,) = children._all
        await cancel(task)

        assert gone(child.pid)
        assert not children._all


async def test_limit() -> None:
    """There are never more children than the limit; further runs wait for their turn."""
    async with pool(limit=2) as children:
        pids = await asyncio.gather(*(run(children, "pid") for _ in range(8)))

    assert 8 == len(pids)
    assert len(set(pids)) <= 2


async def test_interrupt() -> None:
    """Ctrl-C is the worker's business: a child works on."""
    async with pool() as children:
        pid = await run(children, "pid")
        os.kill(pid, signal.SIGINT)

        assert pid == await run(children, "pid")


async def test_fork() -> None:
    """A handler may fork processes and terminate them, as a `multiprocessing.Pool` does."""
    async with pool() as children:
        code = await run(children, "fork")

    assert -signal.SIGTERM == code


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("no_such_app", "there is no module 'no_such_app'"),
        ("child_app:absent", "child_app:absent is no rota.worker.Jobs"),
    ],
)
async def test_app_fails(app: str, told: str) -> None:
    """An app that can't be loaded in the child fails the run and says why; no child stays."""
    async with pool(app) as children:
        failed = await failure(children, "pid")

        assert ("ChildFailed", False) == (failed.failure.kind, failed.fatal)
        assert told in failed.failure.message
        assert not children._all


async def test_app_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that ends the process when it is imported fails the run with the exit code."""
    (tmp_path / "deadly_app.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with pool("deadly_app") as children:
        failed = await failure(children, "pid")

    assert "ChildFailed" == failed.failure.kind
    assert "exit code 9" in failed.failure.message


async def test_stop(tmp_path: Path) -> None:
    """Stopping ends idle and busy children, may be repeated, and may come before any start."""
    children = Children("child_app", limit=2, log=structlog.get_logger())
    busy = asyncio.create_task(run(children, "resist", told=str(tmp_path / "started")))
    pids = [await told(tmp_path / "started"), await run(children, "pid")]
    await asyncio.gather(children.stop(), children.stop())
    with pytest.raises(RemoteFailure):
        await busy
    await children.stop()
    await Children("child_app", limit=1, log=structlog.get_logger()).stop()

    assert all(map(gone, pids))
    with pytest.raises(RuntimeError):
        await run(children, "pid")
