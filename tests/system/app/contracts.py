"""Contracts that a planner divides into tasks; each is executed by a row in a database."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from rota.worker import Context, Jobs, TaskSpec

jobs = Jobs()
FOLDER = "ROTA_TEST_CONTRACTS"  # environment variable: where the database and the gates lie
ATTEMPTS = "attempts"  # in that folder: the job_id of each attempt at a task that began
SCHEMA = "CREATE TABLE IF NOT EXISTS done (step TEXT, n INTEGER, task TEXT, UNIQUE (step, n))"
_OFTEN = 0.005  # seconds


def connect(folder: str | Path) -> sqlite3.Connection:
    """Return a connection to the database; the row of a contract can be there only once."""
    database = sqlite3.connect(Path(folder) / "contracts.db", timeout=30.0)
    database.execute(SCHEMA)
    return database


@jobs.planner("contracts.plan", tasks="contracts.execute")
async def plan(ctx: Context, count: int, stuck: bool = False) -> AsyncIterator[TaskSpec]:
    """Plan so many contracts; if `stuck`, get stuck half-way, but for the second attempt."""
    for number in range(count):
        if stuck and ctx.attempt == 1 and number == count * 3 // 4:
            (Path(os.environ[FOLDER]) / "stuck").touch()
            await asyncio.Event().wait()
        yield TaskSpec(key=f"shard-{number % 7}", size=number % 5 + 1, args={"n": number})


@jobs.handler("contracts.execute")
async def execute(ctx: Context, parts: list[dict[str, Any]]) -> None:
    """Execute contracts in one transaction, after a while; note that an attempt began."""
    with (Path(os.environ[FOLDER]) / ATTEMPTS).open("ab", buffering=0) as file:
        file.write(f"{ctx.job_id}\n".encode())
    await asyncio.sleep(_OFTEN * 4)
    with connect(os.environ[FOLDER]) as database:
        rows = [(f"phase {ctx.phase}", part["n"], ctx.job_id) for part in parts]
        database.executemany("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", rows)
    await asyncio.sleep(_OFTEN)


@jobs.handler("contracts.close")
async def close(ctx: Context, count: int) -> None:
    """Note how many contracts are executed: all, or this comes too early."""
    with connect(os.environ[FOLDER]) as database:
        (done,) = database.execute("SELECT COUNT(*) FROM done WHERE step LIKE 'phase%'").fetchone()
        row = ("close", done, ctx.job_id)
        database.execute("INSERT OR IGNORE INTO done VALUES (?, ?, ?)", row)
