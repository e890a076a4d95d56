"""A database by its URL, SQLite or PostgreSQL: the same plain SQL, and transactions, for both."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

VARIABLE = "BILLING_DATABASE"  # environment: the URL that the handlers use
_BUSY_SECONDS = 60.0  # SQLite has one writer at a time; the others wait


class BadDatabase(Exception):
    """The URL names no database that this example can use; the sentence says what to do."""


class Database:
    """One connection, for one thread. A statement outside of `transaction` is one by itself.

    SQL is written with `?` for each value. Raises `ConnectionError` when there is no database, and
    `BadDatabase` when there can be none.
    """

    def __init__(self, url: str, *, durable: bool = True) -> None:
        self._sqlite = url.startswith("sqlite:///")
        if self._sqlite:
            self._connection: Any = _sqlite(url.removeprefix("sqlite:///"), durable)
        elif url.startswith(("postgresql://", "postgres://")):
            self._connection = _postgresql(url, durable)
        else:
            raise BadDatabase(f"{url!r}: write sqlite:///FILE or postgresql://USER@HOST/DATABASE")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that a statement gives."""
        return [tuple(row) for row in self._execute(sql, values).fetchall()]

    def run(self, sql: str, *values: Any) -> int:
        """Return how many rows a statement has changed."""
        return int(self._execute(sql, values).rowcount)

    def each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row of values."""
        self._connection.cursor().executemany(self._dialect(sql), rows)

    @contextmanager
    def transaction(self) -> Iterator["Database"]:
        """Commit what the block does, or roll it back when an error passes.

        A writer of SQLite takes its lock at once (IMMEDIATE): one that began by reading could not
        wait for another.
        """
        self.run("BEGIN IMMEDIATE" if self._sqlite else "BEGIN")
        try:
            yield self
            self.run("COMMIT")
        except BaseException:
            self.run("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _execute(self, sql: str, values: Sequence[Any]) -> Any:
        return self._connection.execute(self._dialect(sql), values)

    def _dialect(self, sql: str) -> str:
        return sql if self._sqlite else sql.replace("%", "%%").replace("?", "%s")


@contextmanager
def opened(url: str = "", *, durable: bool = True) -> Iterator[Database]:
    """Open a connection for the block; without a URL to what the environment names.

    What is committed without `durable` may be gone when the machine loses its power.
    """
    found = url or os.environ.get(VARIABLE, "")
    if not found:
        raise BadDatabase(f"set {VARIABLE}, such as sqlite:////tmp/billing.db")
    database = Database(found, durable=durable)
    try:
        yield database
    finally:
        database.close()


def _sqlite(path: str, durable: bool) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        raise ConnectionError(f"{path}: {error}") from error
    connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
    return connection


def _postgresql(url: str, durable: bool) -> Any:
    try:
        import psycopg  # noqa: PLC0415 - only those who use PostgreSQL need it
    except ImportError:
        raise BadDatabase('PostgreSQL needs a driver: pip install "psycopg[binary]"') from None
    try:
        connection: Any = psycopg.connect(url, autocommit=True)
    except psycopg.OperationalError as error:
        raise ConnectionError(str(error).strip()) from error
    connection.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
    return connection
