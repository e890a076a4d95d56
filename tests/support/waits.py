"""Waits for something that others do, by looking again and again."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

from rota.common.clock import SystemClock


def until(condition: Callable[[], bool], within: float = 10.0) -> None:
    """Return as soon as `condition` holds; fail if it does not within so many seconds."""
    clock = SystemClock()
    end = clock.monotonic() + within
    while not condition():
        assert clock.monotonic() < end, f"not so within {within} s: {condition.__name__}"
        time.sleep(0.005)


async def eventually(condition: Callable[[], bool | Awaitable[bool]], within: float = 10.0) -> None:
    """Do as `until` does without holding up the event loop; the condition may be a coroutine."""
    clock = SystemClock()
    end = clock.monotonic() + within
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        assert clock.monotonic() < end, f"not so within {within} s: {condition}"
        await asyncio.sleep(0.005)


def listens(port: int) -> bool:
    """Tell whether somebody listens on the loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
