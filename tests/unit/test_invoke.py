import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import structlog

from rota.common import message
from rota.common.message import Failure, JobRequest
from rota.common.run import Claimed
from rota.worker import Context, Jobs
from rota.worker.failure import failure_of
from rota.worker.invoke import BadResult, encode_result, invoke

LABEL: contextvars.ContextVar[str] = contextvars.ContextVar("LABEL")
REQUEST = JobRequest(tenant="acme", job="import", handler="a")
CLAIMED = Claimed("gold", "acme/import:20261123T020000Z", 7, 1, 1_795_399_200_000, b"")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Return a pool of one thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="handler") as pool:
        yield pool


async def call(function: Callable[..., Any], threads: ThreadPoolExecutor, **kwargs: Any) -> object:
    """Return what a handler returns."""
    jobs = Jobs()
    jobs.handler("a")(function)
    context = Context(CLAIMED, REQUEST, structlog.get_logger())
    return await invoke(jobs.handlers["a"], context, kwargs, threads)


def error_of(function: Callable[[], Any]) -> Failure:
    """Return the failure of what `function` raises."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001 - any of them may be asked for
        return failure_of(error)
    raise AssertionError


async def test_where_it_runs(threads: ThreadPoolExecutor) -> None:
    """Async handlers run on the loop's thread, sync ones in the pool, with the caller's context."""
    LABEL.set("mine")

    async def on_loop(ctx: Context, x: int) -> tuple[str, str, int]:
        return threading.current_thread().name, LABEL.get(), x

    def in_thread(ctx: Context, x: int) -> tuple[str, str, int]:
        return threading.current_thread().name, LABEL.get(), x

    assert ("MainThread", "mine", 1) == await call(on_loop, threads, x=1)
    assert ("handler_0", "mine", 2) == await call(in_thread, threads, x=2)


async def test_what_would_stop_the_worker(threads: ThreadPoolExecutor) -> None:
    """A handler that calls sys.exit, or ends an iteration, fails; the worker goes on."""

    async def leave(ctx: Context) -> None:
        raise SystemExit(3)

    def leave_thread(ctx: Context) -> None:
        raise SystemExit(3)

    def run_out(ctx: Context) -> None:
        next(iter(()))

    for function, reason in (
        (leave, r"called sys.exit\(3\)"),
        (leave_thread, r"called sys.exit\(3\)"),
        (run_out, "raised StopIteration"),
    ):
        with pytest.raises(RuntimeError, match=reason):
            await asyncio.wait_for(call(function, threads), 5)


async def test_cancelled(threads: ThreadPoolExecutor) -> None:
    """Cancelling a run cancels its handler; a cancellation of the handler's own is a failure."""
    started = asyncio.Event()

    async def wait(ctx: Context) -> None:
        started.set()
        await asyncio.Event().wait()

    async def cancel_a_part(ctx: Context) -> None:
        part = asyncio.create_task(asyncio.sleep(60))
        part.cancel()
        await part

    task = asyncio.create_task(call(wait, threads))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(RuntimeError, match="was cancelled"):
        await call(cancel_a_part, threads)


def test_result() -> None:
    """A result is sent as msgpack, None as nothing; what can't be sent is refused, saying why."""
    looped: list[Any] = []
    looped.append(looped)

    assert b"" == encode_result(None)
    assert {"a": [1]} == msgspec.msgpack.decode(encode_result({"a": [1]}))
    assert encode_result("x" * (message.MAX_RESULT_BYTES - 3))
    for value in (object(), looped, 2**70, "\ud800"):
        with pytest.raises(BadResult, match="can't be sent"):
            encode_result(value)
    with pytest.raises(BadResult, match="16,385 bytes, more than 16,384"):
        encode_result("x" * (message.MAX_RESULT_BYTES - 2))


def test_failure_is_bounded() -> None:
    """A failure is bounded text that can be sent, whatever was raised."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def dig(depth: int) -> None:
        if depth:
            dig(depth - 1) if depth % 2 else climb(depth - 1)
        raise RuntimeError("x" * 100_000 + "\ud800")

    def climb(depth: int) -> None:
        dig(depth)

    def raise_mute() -> None:
        raise Mute

    deep = error_of(lambda: dig(100))

    assert ("RuntimeError", 2_000, 4_000) == (deep.kind, len(deep.message), len(deep.traceback))
    assert "\ud800" not in deep.traceback
    assert message.encode(deep)
    assert "can't be had" in error_of(raise_mute).message


async def test_traceback_begins_in_the_handler(threads: ThreadPoolExecutor) -> None:
    """A traceback shows the handler's frames, not those of the worker that called it."""

    async def on_loop(ctx: Context) -> None:
        raise LookupError("gone")

    def in_thread(ctx: Context) -> None:
        raise LookupError("gone")

    for function in (on_loop, in_thread):
        with pytest.raises(LookupError) as caught:
            await call(function, threads)
        trace = caught.value.__traceback__
        assert trace
        caught.value.__traceback__ = trace.tb_next and trace.tb_next.tb_next  # our own frames
        shown = failure_of(caught.value).traceback.splitlines()

        assert f"in {function.__name__}" in shown[1]
        assert "LookupError: gone" == shown[-1]
