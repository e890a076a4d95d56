"""What every contender runs: a job that does nothing but count itself, in a file that all share.

Each script here is one contender: `python on_NAME.py enqueue N` gives it N jobs, `python on_NAME.py
work` is its worker. The file has one byte for each job, how often it ran; the harness watches it.
"""

import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

PORT = int(os.environ["BENCH_PORT"])  # of the Redis server of this race
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "100"))
URL = f"redis://127.0.0.1:{PORT}/0"

with Path(os.environ["BENCH_TALLY"]).open("r+b") as _file:
    _ran = mmap.mmap(_file.fileno(), 0)


def hit(number: int) -> None:
    """Count one run of the job with this number."""
    _ran[number] += 1


def main(enqueue: Callable[[int], None], work: Callable[[], None]) -> None:
    """Do what the command line says."""
    if sys.argv[1] == "enqueue":
        enqueue(int(sys.argv[2]))
    else:
        work()
