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
    if handler.isolation == "loop":
        try:
            return await handler.function(ctx, **kwargs)
        except SystemExit as error:
            raise RuntimeError(f"the handler called sys.exit({error.code!r})") from error
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, context.run, call, handler, ctx, kwargs)


def call(handler: Handler, ctx: Context, kwargs: dict[str, Any]) -> object:
    """Return what a sync handler returns, in the present thread; raises as `invoke` does."""
    try:
        return handler.function(ctx, **kwargs)
    except StopIteration as error:  # a future can't hold it: its waiter would wait for ever
        raise RuntimeError("the handler raised StopIteration") from error
    except SystemExit as error:
        raise RuntimeError(f"the handler called sys.exit({error.code!r})") from error


def encode_result(value: object) -> bytes:
    """Return `value` as msgpack, empty for None; raises `BadResult` if it can't be, or is too big."""
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


def failure_of(error: BaseException) -> Failure:
    """Return `error` as bounded text: the traceback begins in the handler and keeps its end."""
    try:
        text = str(error)
    except Exception as failed:  # noqa: BLE001 - a user's __str__ may raise anything
        text = f"(its text can't be had: {type(failed).__name__})"
    lines = traceback.format_exception(type(error), error, _trimmed(error.__traceback__))
    return Failure(
        kind=type(error).__name__,
        message=_sendable(text[:_MESSAGE_CHARS]),
        traceback=_sendable("".join(lines)[-_TRACEBACK_CHARS:]),
    )


def _trimmed(trace: TracebackType | None) -> TracebackType | None:
    while trace and trace.tb_frame.f_globals.get("__name__", "").startswith(_CALLERS):
        trace = trace.tb_next
    return trace


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()
