"""One race: a store of its own, jobs that wait in it, and workers that run them all."""

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from redis import Redis

from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore, die_with_parent
from tests.benchmarks import usage
from tests.benchmarks.contenders import APPS, Contender
from tests.benchmarks.environment import HOME

CLOCK = SystemClock()
_LOOK = 0.02  # seconds between two looks at the tally
_AFTER = 0.3  # seconds in which a job that runs twice may show
_WITHIN = 60.0  # seconds that a race may take
_WARM = 0.1  # the part of the jobs that does not count


class Result(NamedTuple):
    """What was measured, of the jobs behind the first tenth."""

    jobs: int
    rate: float  # jobs a second
    worker_us: float  # microseconds of processor for each job: all workers
    store_us: float  # the same: the server
    trips: float  # reads of the server's sockets for each job: what is pipelined counts once
    wrong: str  # what was not exactly once; empty: all was


class _Mark(NamedTuple):
    at: float
    done: int
    worker: float
    store: float
    trips: int


def run(contender: Contender, jobs: int, folder: Path, *, workers: int = 1) -> Result:
    """Let a contender run so many jobs. Raises `RuntimeError` if it does not."""
    tally = folder / "tally"
    tally.write_bytes(bytes(jobs))
    with EmbeddedStore() as server, tally.open("r+b") as file:
        environment = _environment(contender, server.port, tally)
        _enqueue(contender, environment, jobs)
        with _working(contender, environment, folder, workers) as pids:
            seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            first, last = _watch(seen, pids, server)
            time.sleep(_AFTER)
            counts = bytes(seen)
    return _result(first, last, counts)


def _environment(contender: Contender, port: int, tally: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ROTA_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "ROTA_LOG_LEVEL": "info",
        "BENCH_PORT": str(port),
        "BENCH_TALLY": str(tally),
        "NODE_PATH": str(HOME / "node" / "node_modules"),
        "PYTHONPATH": os.pathsep.join([str(APPS), os.environ.get("PYTHONPATH", "")]),
        **dict(contender.environment),
    }


def _enqueue(contender: Contender, environment: dict[str, str], jobs: int) -> None:
    command = contender.command(HOME, "enqueue", str(jobs))
    given = subprocess.run(command, env=environment, cwd=APPS, check=False, capture_output=True)
    if given.returncode:
        said = given.stderr.decode(errors="replace")[-2_000:]
        raise RuntimeError(f"{contender.name} could not enqueue:\n{said}")


@contextmanager
def _working(
    contender: Contender, environment: dict[str, str], folder: Path, workers: int
) -> Iterator[list[int]]:
    """Have workers, each a group of processes, that are gone behind the block."""
    with (folder / "errors").open("wb") as errors:
        started = [
            subprocess.Popen(
                contender.command(HOME, "work"),
                env=environment,
                cwd=APPS,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
            )
            for _ in range(workers)
        ]
    try:
        yield [process.pid for process in started]
    except TimeoutError as error:
        said = (folder / "errors").read_text(errors="replace")[-2_000:]
        raise RuntimeError(f"{contender.name}: {error}\n{said}") from error
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _watch(seen: mmap.mmap, pids: list[int], server: EmbeddedStore) -> tuple[_Mark, _Mark]:
    jobs, first, until = len(seen), None, CLOCK.monotonic() + _WITHIN
    while True:
        done = jobs - bytes(seen).count(0)
        if first is None and done >= jobs * _WARM:
            first = _mark(done, pids, server)
        if done == jobs:
            assert first is not None
            return first, _mark(done, pids, server)
        if CLOCK.monotonic() > until:
            raise TimeoutError(f"{done:,} of {jobs:,} jobs were run in {_WITHIN:g} s")
        time.sleep(_LOOK)


def _mark(done: int, pids: list[int], server: EmbeddedStore) -> _Mark:
    at, worker, store = CLOCK.monotonic(), sum(map(usage.cpu, pids)), usage.cpu(server.pid)
    with Redis(port=server.port) as redis:
        trips = redis.info("stats")["total_reads_processed"]
    return _Mark(at, done, worker, store, trips)


def _result(first: _Mark, last: _Mark, counts: bytes) -> Result:
    done = last.done - first.done
    again = len(counts) - counts.count(1)
    return Result(
        jobs=len(counts),
        rate=done / (last.at - first.at),
        worker_us=(last.worker - first.worker) / done * 1e6,
        store_us=(last.store - first.store) / done * 1e6,
        trips=(last.trips - first.trips) / done,
        wrong=f"{again:,} of {len(counts):,} jobs ran more than once" if again else "",
    )
