"""The handlers of examples/billing in workers that die beside each statement, once at each place.

A place is a statement, the one before it on its connection, and whether it is done when the worker
dies. Environment: a folder that keeps the places where one has died, and a pattern of those meant.
"""

import os
import re
import signal
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from examples.billing import database
from examples.billing.jobs import jobs

__all__ = ["jobs"]

FOLDER, PATTERN = "ROTA_TEST_GRAVES", "ROTA_TEST_PLACES"  # environment variables


class Mortal(database.Database):
    """A connection whose process dies."""

    def __init__(self, url: str, *, durable: bool = True) -> None:
        super().__init__(url, durable=durable)
        self._last = "nothing"

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Do so between two chances to die."""
        self._die("before", sql)
        found = super().rows(sql, *values)
        self._die("after", sql)
        return found

    def run(self, sql: str, *values: Any) -> int:
        """Do so between two chances to die."""
        self._die("before", sql)
        changed = super().run(sql, *values)
        self._die("after", sql)
        return changed

    def each(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Do so between two chances to die."""
        self._die("before", sql)
        super().each(sql, rows)
        self._die("after", sql)

    def _die(self, when: str, sql: str) -> None:
        """End the worker as a crash does, unless one has died here."""
        name = " ".join(sql.split())
        place = f"{when} {name}, behind {self._last}"
        grave = Path(os.environ[FOLDER]) / sha256(place.encode()).hexdigest()
        if re.search(os.environ[PATTERN], place) and not grave.exists():
            grave.write_text(place)
            os.kill(os.getpid(), signal.SIGKILL)
        if when == "after":
            self._last = name


database.Database = Mortal  # type: ignore[misc] # for `opened`, in a worker
