"""What the commands share: exit codes, and running a daemon until a signal."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any, Protocol

from structlog.typing import FilteringBoundLogger

from rota.common.errors import RotaError
from rota.common.health import Health

# A terminal's Ctrl-C may reach a process on two ways: directly, and through its parent.
_SAME_SIGNAL = 0.5  # seconds after the first within which another one says nothing new

Check = Callable[[], Awaitable[None]]


class Daemon(Protocol):
    """A constellation of services that runs until it is told to stop."""

    async def start(self) -> None:
        """Begin to work."""
        ...

    async def failed(self) -> None:
        """Return when a part has failed for good."""
        ...

    async def stop(self) -> None:
        """End; return when everything has ended."""
        ...


class Supervised(Daemon, Protocol):
    """A daemon that knows whether work really passes through it."""

    def unready(self) -> str:
        """Return why it is not ready; empty if it is. Asks nobody."""
        ...

    def metrics(self) -> str:
        """Return its numbers in Prometheus' text format. Asks nobody."""
        ...


def print_version() -> None:
    """Print the name and the version of the distribution."""
    print("rota", metadata.version("rota"))


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn our errors into a message on standard error and the exit code of their class."""
    try:
        yield
    except RotaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def run_daemon(daemon: Daemon, log: FilteringBoundLogger) -> int:
    """Run `daemon` until SIGTERM, SIGINT or a failure; return the exit code.

    A further signal ends the process at once, but for one within half a second of the first.
    """
    return asyncio.run(_run(daemon, log))


def run_supervised(
    daemon: Supervised,
    log: FilteringBoundLogger,
    *,
    health: str,
    check: Check,
    on_hangup: Callable[[], None] | None = None,
) -> int:
    """Run `daemon` as `run_daemon` does, if `check` raises nothing.

    `health` is the address, HOST:PORT, at which it says how it is; empty for nowhere. SIGHUP calls
    `on_hangup`; without it that ends the process, as by default.
    """
    return asyncio.run(_run_supervised(daemon, log, health, check, on_hangup))


async def _run_supervised(
    daemon: Supervised,
    log: FilteringBoundLogger,
    address: str,
    check: Check,
    on_hangup: Callable[[], None] | None,
) -> int:
    if on_hangup is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, on_hangup)
    health = Health(address, unready=daemon.unready, shown=daemon.metrics, log=log)
    await check()
    await health.start()
    try:
        return await _run(daemon, log)
    finally:
        await health.stop()


async def _run(daemon: Daemon, log: FilteringBoundLogger) -> int:
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[float] = loop.create_future()  # when the first signal came

    def on_signal(number: int) -> None:
        now = loop.time()
        if not stopping.done():
            stopping.set_result(now)
        elif now - stopping.result() > _SAME_SIGNAL:
            log.warning("exit_at_once", signal=signal.Signals(number).name)
            os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await daemon.start()
    failed = asyncio.create_task(daemon.failed())
    ends: list[asyncio.Future[Any]] = [failed, stopping]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    code = 1 if failed.done() else 0
    failed.cancel()
    await daemon.stop()
    return code
