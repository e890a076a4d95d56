"""What became of recurring jobs, in a file that the harness reads: see `tests/benchmarks/fires.py`.

Numbers of 32 bits: runs, runs of an occurrence that had run, occurrences left out, then how many
runs were late by 0 ms, 1 ms, ... The last one takes all that were later.
"""

import mmap
import os
from pathlib import Path

with Path(os.environ["BENCH_TALLY"]).open("r+b") as _file:
    _words = memoryview(mmap.mmap(_file.fileno(), 0)).cast("I")
_PERIOD_MS = int(os.environ.get("BENCH_PERIOD_MS", "0"))
_last: dict[str, int] = {}  # due time by definition


def ran(definition: str, due_ms: int, now_ms: int) -> None:
    """Count one run."""
    _words[0] += 1
    last = _last.get(definition)
    if last is not None:
        if due_ms <= last:
            _words[1] += 1
        elif due_ms - last != _PERIOD_MS:
            _words[2] += (due_ms - last) // _PERIOD_MS - 1
    _last[definition] = due_ms
    _words[3 + min(max(0, now_ms - due_ms), len(_words) - 4)] += 1


def counted() -> None:
    """Count one run of which nobody knows when it was due."""
    _words[0] += 1
