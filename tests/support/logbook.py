"""A log that tests read."""

from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger


class Logbook:
    """Keeps what is written to its `log`, from level debug on."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        self.log: FilteringBoundLogger = structlog.wrap_logger(
            None,
            processors=[self._capture],
            wrapper_class=structlog.make_filtering_bound_logger(10),
        )

    def events(self, name: str) -> list[MutableMapping[str, Any]]:
        """Return the entries of the event `name`, in order."""
        return [entry for entry in self._capture.entries if entry["event"] == name]

    def complaints(self) -> list[str]:
        """Return the names of the events that are warnings or worse."""
        return [
            e["event"] for e in self._capture.entries if e["log_level"] not in ("debug", "info")
        ]
