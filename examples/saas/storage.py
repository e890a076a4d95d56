"""Where a tenant's data lies: a folder of its own with a SQLite database and files."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

DATA = Path(os.environ.get("ROTA_EXAMPLE_DATA", "data"))
SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (
    id       TEXT PRIMARY KEY,
    source   TEXT NOT NULL,
    customer TEXT NOT NULL,
    product  TEXT NOT NULL,
    cents    INTEGER NOT NULL,
    invoiced INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS contacts (
    customer TEXT PRIMARY KEY,
    cents    INTEGER NOT NULL
);
"""


class File(NamedTuple):
    """One of a tenant's files; older ones sort first."""

    modified: float  # seconds since 1970
    size: int  # bytes
    path: Path


def folder(tenant: str, *parts: str) -> Path:
    """Return a folder of the tenant's, made if it is not there."""
    path = DATA.joinpath(tenant, *parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def file_name(job_id: str) -> str:
    """Return what a file that belongs to a run, or to a row that it made, is called."""
    return job_id.replace("/", "_").replace(":", "_")


def files(tenant: str, *parts: str) -> list[File]:
    """Return the files in a folder of the tenant's and below it, the oldest first."""
    found = []
    for path in folder(tenant, *parts).rglob("*"):
        with suppress(FileNotFoundError):  # files come and go meanwhile
            status = path.stat()
            if stat.S_ISREG(status.st_mode):
                found.append(File(status.st_mtime, status.st_size, path))
    return sorted(found)


@contextmanager
def database(tenant: str) -> Iterator[sqlite3.Connection]:
    """Open the tenant's database for one transaction: all of the block is written, or nothing.

    Jobs of one tenant run at the same time, so a writer takes its lock at once (IMMEDIATE) and
    waits for another for up to 30 s.
    """
    path = folder(tenant) / "shop.db"
    with closing(sqlite3.connect(path, timeout=30, isolation_level="IMMEDIATE")) as connection:
        connection.executescript(SCHEMA)
        with connection:
            yield connection


def write(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, so that nobody reads half of it."""
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    draft.write_bytes(data)
    draft.replace(path)
