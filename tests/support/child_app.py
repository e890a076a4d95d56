"""The app that the tests of child processes load: handlers that do what handlers should not."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from rota.worker import Context, Fatal, Jobs
from rota.worker.child import Ended

jobs = Jobs()
TOLD = ["job_id", "tenant", "job", "group", "handler", "attempt", "attempts", "due_ms", "fence"]


class Interval(msgspec.Struct):
    """From one day to another."""

    first: date
    last: date


@jobs.handler("pid", isolation="process")
def pid(ctx: Context) -> int:
    """Return the process it runs in."""
    return os.getpid()


@jobs.handler("nothing", isolation="process")
def nothing(ctx: Context) -> None:
    """Return None."""


@jobs.handler("days", isolation="process")
async def days(ctx: Context, interval: Interval) -> int:
    """Return the days between; async, with arguments that must be converted."""
    await asyncio.sleep(0)
    return (interval.last - interval.first).days


@jobs.handler("describe", isolation="process")
def describe(ctx: Context) -> dict[str, Any]:
    """Return all that the context says."""
    fields = [
        "job_id",
        "tenant",
        "job",
        "group",
        "handler",
        "attempt",
        "attempts",
        "due_ms",
        "fence",
        "cancelled",
        "missed_ms",
        "deadline_ms",
    ]
    return {name: getattr(ctx, name) for name in fields}


@jobs.handler("talk", isolation="process")
def talk(ctx: Context) -> str:
    """Write to standard output in three ways, and read standard input."""
    print("printed")
    os.write(1, b"written\n")
    subprocess.run([sys.executable, "-c", "print('echoed')"], check=True)
    return sys.stdin.read()


@jobs.handler("fail", isolation="process")
def fail(ctx: Context) -> NoReturn:
    """Raise an error from a function that it calls."""
    _divide(1, 0)
    raise AssertionError


def _divide(over: int, under: int) -> float:
    return over / under


@jobs.handler("give-up", isolation="process")
async def give_up(ctx: Context) -> NoReturn:
    """Raise what must not be tried again."""
    raise Fatal("no such customer")


@jobs.handler("sys-exit", isolation="process")
def sys_exit(ctx: Context) -> NoReturn:
    """End the program, as scripts do."""
    sys.exit(3)


@jobs.handler("os-exit", isolation="process")
def os_exit(ctx: Context, code: int) -> NoReturn:
    """End the process as a crash does."""
    os._exit(code)


@jobs.handler("be-killed", isolation="process")
def be_killed(ctx: Context) -> None:
    """End as it does when the machine's memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@jobs.handler("big", isolation="process")
def big(ctx: Context) -> str:
    """Return more than a result may be."""
    return "x" * 100_000


@jobs.handler("wait", isolation="process")
def wait(ctx: Context, told: str, cleaned: str) -> None:
    """Tell its process and wait for ever; tell again when it is asked to end."""
    try:
        _tell(told, os.getpid())
        time.sleep(60)
    finally:
        _tell(cleaned, int(ctx.cancelled))


@jobs.handler("give-in", isolation="process")
def give_in(ctx: Context, told: str, cleaned: str) -> str:
    """Do as `wait` does, and return as if nothing had happened."""
    try:
        wait(ctx, told, cleaned)
    except Ended:
        return "cleaned up"
    raise AssertionError


@jobs.handler("wait-async", isolation="process")
async def wait_async(ctx: Context, told: str, cleaned: str) -> None:
    """Do as `wait` does, on an event loop."""
    try:
        _tell(told, os.getpid())
        await asyncio.sleep(60)
    finally:
        _tell(cleaned, int(ctx.cancelled))


@jobs.handler("callback", isolation="process")
async def callback(ctx: Context, told: str, cleaned: str) -> None:
    """Do the same, in a callback of the event loop."""

    def wait() -> None:
        _tell(told, os.getpid())
        time.sleep(60)

    try:
        asyncio.get_running_loop().call_soon(wait)
        await asyncio.sleep(60)
    finally:
        _tell(cleaned, int(ctx.cancelled))


@jobs.handler("resist", isolation="process")
def resist(ctx: Context, told: str) -> None:
    """Go on whatever it is told."""
    _tell(told, os.getpid())
    while True:
        try:
            time.sleep(60)
        except BaseException:  # noqa: BLE001 - bad manners are what it is for
            ctx.log.info("resisted")


@jobs.handler("delegate", isolation="process")
def delegate(ctx: Context, told: str) -> None:
    """Start a program, tell its process, and wait for ever."""
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    _tell(told, program.pid)
    time.sleep(60)


@jobs.handler("fork", isolation="process")
def fork(ctx: Context) -> int:
    """Fork a process, terminate it and return its exit code."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode or 0


def _tell(path: str, number: int) -> None:
    scratch = Path(f"{path}.part")
    scratch.write_text(str(number))
    scratch.rename(path)  # so that nobody reads half of it


@jobs.handler("units", isolation="process")
def units(ctx: Context, told: str, count: int, fail: int = -1) -> int:
    """Write numbers to a file, ten to a unit; fail once at one of them."""
    loop = ctx.units(range(count), 10, retries=0, split=False)
    for unit in loop:
        with unit, Path(told).open("a") as file:
            if fail in unit and ctx.attempt == 1:
                raise OSError("fails once")
            file.writelines(f"{item}\n" for item in unit)
    return loop.tally.items


@jobs.handler("units-async", isolation="process")
async def units_async(ctx: Context, told: str, count: int) -> int:
    """Do so on an event loop."""
    loop = ctx.units(range(count), 10)
    async for unit in loop:
        async with unit:
            with Path(told).open("a") as file:  # noqa: ASYNC230 - it is short
                file.writelines(f"{item}\n" for item in unit)
    return loop.tally.items
