"""A scheduler and a worker as processes, on a store of their own, and what they did in a window."""

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import msgspec

from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore, die_with_parent
from tests.benchmarks import usage
from tests.benchmarks.contenders import APPS
from tests.benchmarks.environment import HOME

CLOCK = SystemClock()
_BINS = 120_000  # lateness in ms, or in 10 us, up to this
_START = 300.0  # seconds that a start may take


class Snapshot(NamedTuple):
    """What had happened at one moment."""

    at: float  # monotonic seconds
    words: list[int]  # as `apps/fires.py` writes them
    cpu: dict[str, float]  # seconds of processor by process


class Window(NamedTuple):
    """What happened between two snapshots."""

    seconds: float
    runs: int
    again: int
    left_out: int
    late: list[int]  # runs by how late they were
    cpu: dict[str, float]

    def quantile(self, percent: float) -> int:
        """Return the lateness that so many runs did not exceed."""
        seen, wanted = 0, self.runs * percent / 100
        for late, count in enumerate(self.late):
            seen += count
            if seen >= wanted:
                return late
        return len(self.late)

    def us(self, process: str) -> float:
        """Return microseconds of processor for each run."""
        return self.cpu[process] / max(1, self.runs) * 1e6


class Fleet:
    """Processes that end with the block. Their standard error goes to files in `folder`."""

    def __init__(self, folder: Path, period_ms: int = 10_000) -> None:
        self._folder = folder
        self._period_ms = period_ms
        self.server = EmbeddedStore()
        self.pids: dict[str, int] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        tally = folder / "tally"
        tally.write_bytes(bytes(4 * (_BINS + 3)))
        with tally.open("r+b") as file:
            self._seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def start(self, name: str, *command: str, until: str = "") -> float:
        """Start a process; return how many seconds it took to log `until`, if that is given."""
        began, errors = CLOCK.monotonic(), self._folder / f"{name}.err"
        with errors.open("wb") as err:
            process = subprocess.Popen(
                command,
                env=self._environment(),
                cwd=APPS,
                stdout=err,
                stderr=err,
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - as the store itself is started
            )
        self._processes[name] = process
        self.pids[name] = process.pid
        while until and f'"{until}"' not in errors.read_text(errors="replace"):
            if process.poll() is not None or CLOCK.monotonic() > began + _START:
                said = errors.read_text(errors="replace")[-2_000:]
                raise RuntimeError(f"{name} did not log {until}\n{said}")
            time.sleep(0.02)
        return CLOCK.monotonic() - began

    def sched(self, config: Path) -> float:
        """Start a scheduler on a configuration; return how many seconds it took to start."""
        words = ("-m", "rota.scheduler", "run", str(config))
        return self.start("sched", sys.executable, *words, until="scheduler_started")

    def worker(self, *flags: str) -> None:
        """Start a worker."""
        words = ("-m", "rota.worker", "run", "--app", "on_fires", *flags)
        self.start("worker", sys.executable, *words, until="worker_started")

    def stop(self, name: str) -> None:
        """Ask a process to end, and wait for it."""
        self._processes[name].terminate()
        self._processes[name].wait()
        del self.pids[name]

    def snapshot(self) -> Snapshot:
        """Return what has happened so far."""
        cpu = {name: usage.cpu(pid) for name, pid in self.pids.items()}
        cpu["store"] = usage.cpu(self.server.pid)
        return Snapshot(CLOCK.monotonic(), memoryview(self._seen).cast("I").tolist(), cpu)

    def window(self, seconds: float) -> Window:
        """Let so much time pass; return what happened in it."""
        first = self.snapshot()
        time.sleep(seconds)
        last = self.snapshot()
        words = [b - a for a, b in zip(first.words, last.words, strict=True)]
        cpu = {name: last.cpu[name] - first.cpu[name] for name in last.cpu}
        return Window(last.at - first.at, words[0], words[1], words[2], words[3:], cpu)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.server.stop()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ROTA_REDIS_URL": self.server.url,
            "ROTA_LOG_FORMAT": "json",
            "ROTA_LOG_LEVEL": "info",
            "BENCH_PORT": str(self.server.port),
            "BENCH_TALLY": str(self._folder / "tally"),
            "BENCH_PERIOD_MS": str(self._period_ms),
            "NODE_PATH": str(HOME / "node" / "node_modules"),
            "PYTHONPATH": os.pathsep.join([str(APPS), os.environ.get("PYTHONPATH", "")]),
        }


def write_config(path: Path, definitions: int, job: dict[str, str], tenants: int = 100) -> None:
    """Write a configuration of so many definitions, by a template that all tenants use."""
    each = max(1, definitions // tenants)
    template = {f"job-{number}": job for number in range(each)}
    names: Sequence[str] = [f"tenant-{number}" for number in range(min(tenants, definitions))]
    config = {
        "groups": {"bench": {}},
        "templates": {"all": template},
        "tenants": {name: {"group": "bench", "use": ["all"]} for name in names},
    }
    path.write_bytes(msgspec.json.encode(config))
