"""Waits for handlers in threads, which nobody can stop."""

import asyncio

from rota.worker.context import Context
from rota.worker.held import HeldRun


async def wait(call: "asyncio.Task[object]", held: HeldRun, context: Context) -> None:
    """Wait for the end of a thread, through cancellations that somebody asked for, and one more."""
    interrupted: asyncio.CancelledError | None = None
    while not call.done():
        try:
            await asyncio.wait([call])
        except asyncio.CancelledError as error:
            context.request_cancel()
            if interrupted:
                raise
            if held.lost or not held.cancelled:
                interrupted = error
    if interrupted:
        raise interrupted


def hear(call: "asyncio.Task[object]") -> None:
    """Take note of how a call ended that nobody waits for any more."""
    if not call.cancelled():
        call.exception()  # or asyncio complains that nobody looked at it
