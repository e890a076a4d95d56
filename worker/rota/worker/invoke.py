"""Calls one handler on the loop or in a thread, and puts its result into bytes."""

import asyncio
import contextvars
from concurrent.futures import Executor
from typing import Any

from rota.common import message
from rota.worker.context import Context
from rota.worker.registry import Handler


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
