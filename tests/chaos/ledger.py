"""The driver's log: what it started, broke and mended, and what was accepted, each with its time.

One JSON object a line; `at` is in seconds of the monotonic clock, as in the handlers' audit.

    job        job, group, kind (every, after, manual), period_ms
    limit      what, jobs, and most (runs at a time) or interval (s) and burst; full: always in use
    started    pid, role (worker, sched), name
    killed     pid, role                  seen dead at `at`
    stopped    pid, role                  SIGSTOP; `continued` ends it
    isolated   pids                       cut off with an old master; `rejoined` ends it
    ended      pid, role                  left after SIGTERM, seen dead at `at`
    casualty   pid, name                  left though nobody asked it to; `killed` follows
    fault      kind                       one for each injected fault
    wiped      since, at                  what the store acknowledged in between is gone, on purpose
    mended     what                       the store can be reached and written again
    accepted   job_id                     an enqueue was answered with yes
    faults_over, draining
    final      counts, dead, leaked, foreign, keys, permits, drained, and noted: what the store's
               ledger holds of each job's runs, as job_id, outcome, replays
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from rota.common.clock import SystemClock

CLOCK = SystemClock()


class Ledger:
    """Writes the driver's log. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)

    def note(self, event: str, *, at: float | None = None, **fields: Any) -> float:
        """Write one line; return its moment, now unless `at` says otherwise."""
        moment = CLOCK.monotonic() if at is None else at
        self._file.write(json.dumps({"event": event, "at": moment, **fields}) + "\n")
        return moment

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
