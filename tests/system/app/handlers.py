"""The handlers of the system tests: each writes its start and its end into the audit."""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rota.common.clock import SystemClock
from rota.worker import Context, Jobs
from tests.support import audit

jobs = Jobs()
_CLOCK = SystemClock()
_OFTEN = 0.005  # seconds between two looks, or two signs of life


@jobs.handler("work")
async def work(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time on the loop, without using it."""
    with audit.recorded(ctx):
        await asyncio.sleep(seconds)


@jobs.handler("work-in-thread")
def work_in_thread(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time in a thread."""
    with audit.recorded(ctx):
        time.sleep(seconds)


@jobs.handler("heed-in-thread")
def heed_in_thread(ctx: Context, seconds: float) -> None:
    """Take some time in a thread, and end when it is asked to."""
    with audit.recorded(ctx):
        end = _CLOCK.monotonic() + seconds
        while _CLOCK.monotonic() < end:
            ctx.check_cancelled()
            time.sleep(_OFTEN)


@jobs.handler("work-in-process", isolation="process")
def work_in_process(ctx: Context, seconds: float = 0.05) -> None:
    """Take some time in a child process, without using it."""
    with audit.recorded(ctx):
        time.sleep(seconds)


@jobs.handler("gate")
async def gate(ctx: Context, opened: str) -> None:
    """Take as long as it takes until the file `opened` is there."""
    with audit.recorded(ctx):
        while not Path(opened).exists():  # noqa: ASYNC110 - another process opens it
            await asyncio.sleep(_OFTEN)


@jobs.handler("gate-in-thread")
def gate_in_thread(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a thread, and end when it is asked to."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            ctx.check_cancelled()
            time.sleep(_OFTEN)


@jobs.handler("deaf-in-thread")
def deaf_in_thread(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a thread, and go on whatever it is told; give signs of life."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            audit.write(ctx, "alive")
            time.sleep(_OFTEN / 50)


@jobs.handler("gate-in-process", isolation="process")
def gate_in_process(ctx: Context, opened: str) -> None:
    """Do as `gate` does, in a child process."""
    with audit.recorded(ctx):
        while not Path(opened).exists():
            time.sleep(_OFTEN)


@jobs.handler("tick")
async def tick(ctx: Context) -> None:
    """Write a line as often as the loop comes round, for a while."""
    for _ in range(40):
        audit.write(ctx, "tick")
        await asyncio.sleep(_OFTEN)


@jobs.handler("flaky")
async def flaky(ctx: Context) -> None:
    """Fail at first, succeed when tried again."""
    with audit.recorded(ctx):
        if ctx.attempt == 1:
            raise RuntimeError("not at the first attempt")


@jobs.handler("compute", isolation="process")
def compute(ctx: Context, seconds: float) -> None:
    """Keep a processor busy, in a child process."""
    with audit.recorded(ctx):
        _spin(seconds)


@jobs.handler("stall")
async def stall(ctx: Context, seconds: float) -> None:
    """Block the loop itself, as no handler should."""
    with audit.recorded(ctx):
        time.sleep(seconds)  # noqa: ASYNC251 - bad manners are what it is for


def _spin(seconds: float) -> None:
    end = _CLOCK.monotonic() + seconds
    while _CLOCK.monotonic() < end:
        sum(range(1_000))


@jobs.handler("bill")
def bill(ctx: Context, database: str, die: dict[str, int], exact: bool = False) -> int:
    """Write a document for each of 200 orders, ten at a time.

    The worker dies in the unit with each order in `die`: `within` it, when it is `committed`, or
    `behind` its checkpoint. An `exact` handler keeps in its database, too, how far it is.
    """
    with closing(sqlite3.connect(database, isolation_level=None)) as db:

        @contextmanager
        def transaction() -> Iterator[sqlite3.Connection]:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
            _die(die, "committed", unit.start, database)

        done = db.execute("SELECT done FROM positions WHERE run = ?", [ctx.job_id]).fetchone()
        units = ctx.units(range(200), 10, transaction=transaction, done=done[0] if done else 0)
        for unit in units:
            _die(die, "behind", unit.start - 10, database)
            with unit as tx:
                for order in unit:
                    tx.execute("INSERT INTO documents VALUES (?)", [order])
                _die(die, "within", unit.start, database)
                if exact:
                    place = (ctx.job_id, unit.end)
                    tx.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", place)
        return units.tally.items


def _die(die: dict[str, int], where: str, start: int, database: str) -> None:
    """End the worker as a crash does, once at each place."""
    place = Path(f"{database}.{where}")
    if die.get(where, -1) == start and not place.exists():
        place.touch()
        os.kill(os.getpid(), signal.SIGKILL)
