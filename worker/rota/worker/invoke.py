"""Calls one handler on the loop or in a thread, and puts its result or its error into bytes."""

import asyncio
import contextvars
import traceback
from concurrent.futures import Executor
from types import TracebackType
from typing import Any

from rota.common import message
from rota.common.message import Failure
from rota.worker.context import Context
from rota.worker.registry import Handler

_KIND_CHARS = 200
_MESSAGE_CHARS = 2_000
_TRACEBACK_CHARS = 4_000
_CALLERS = ("rota.", "asyncio.", "concurrent.")  # modules between the worker and its handler


class BadResult(ValueError):
    """A handler returned something that can't be sent."""


async def invoke(
    handler: Handler, ctx: Context, kwargs: dict[str, Any], threads: Executor
) -> object:
    """Return what the handler returns: called on the loop if it is async, else in a thread.

    Raises what the handler raises, but `RuntimeError` for what would stop the worker itself.
    """
    try:
        if handler.isolation == "loop":
            return await handler.function(ctx, **kwargs)
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(threads, context.run, _call, handler, ctx, kwargs)
    except SystemExit as error:
        raise RuntimeError(f"the handler called sys.exit({error.code!r})") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("something that the handler waited for was cancelled") from error


def _call(handler: Handler, ctx: Context, kwargs: dict[str, Any]) -> object:
    try:
        return handler.function(ctx, **kwargs)
    except StopIteration as error:  # a future can't hold it: its waiter would wait for ever
        raise RuntimeError("the handler raised StopIteration") from error


def encode_result(value: object) -> bytes:
    """Return `value` as msgpack, empty for None; raises `BadResult` if it can't be sent."""
    if value is None:
        return b""
    try:
        result = message.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        kind = type(value).__name__
        raise BadResult(f"the handler's result, a {kind}, can't be sent: {error}") from error
    if len(result) > message.MAX_RESULT_BYTES:
        raise BadResult(
            f"the handler's result takes {len(result):,} bytes, more than "
            f"{message.MAX_RESULT_BYTES:,}; store it elsewhere and return where it is"
        )
    return result


def kinds_of(error: BaseException) -> tuple[str, ...]:
    """Return the names by which `retry_on` may mean an error: of its class and those above it."""
    return tuple(kind.__name__ for kind in type(error).__mro__[:-1])


def failure_of(error: BaseException) -> Failure:
    """Return `error` as bounded text: the traceback begins in the handler and keeps its end."""
    try:
        text = str(error)
    except Exception as failed:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its text can't be had: {type(failed).__name__})"
    lines = traceback.format_exception(type(error), error, _trimmed(error.__traceback__))
    return Failure(
        kind=_sendable(type(error).__name__[:_KIND_CHARS]),
        message=_sendable(text[:_MESSAGE_CHARS]),
        traceback=_sendable("".join(lines)[-_TRACEBACK_CHARS:]),
    )


def _trimmed(trace: TracebackType | None) -> TracebackType | None:
    while trace and _module(trace).startswith(_CALLERS):
        trace = trace.tb_next
    return trace


def _module(trace: TracebackType) -> str:
    names = trace.tb_frame.f_globals
    spec = names.get("__spec__")  # knows the name of a module that was started with `-m`
    return str(spec.name if spec else names.get("__name__"))


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()
