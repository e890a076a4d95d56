"""Real `sched` and `worker` processes for a test; none of them outlives it.

with Plant(tmp_path) as plant:
    plant.start_sched(CONFIG)
    worker = plant.start_worker("tests.system.app.handlers")
    waits.until(lambda: ...)
    worker.kill()
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rota.common.clock import SystemClock
from rota.common.embedded import EmbeddedStore, die_with_parent
from tests.support import audit, waits
from tests.support.audit import Audit

ROOT = Path(__file__).resolve().parent.parent.parent  # so that processes can import `tests`
_CLOCK = SystemClock()


class Running:
    """One process. Its standard error, as JSON lines, and its standard output go to files."""

    def __init__(self, name: str, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.errors = folder / f"{name}.err"
        self.output = folder / f"{name}.out"
        self.pid = process.pid
        self.died_at = audit.FOREVER  # monotonic seconds at which it was seen dead
        self._process = process

    @property
    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, within: float = 20.0) -> int:
        """Return its exit code, negative for a signal; fail if it takes longer than `within`."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {within} s\n{self}") from None
        self.died_at = min(self.died_at, _CLOCK.monotonic())
        return code

    def stop(self, within: float = 20.0) -> int:
        """Ask it to end, as a process manager does; return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait(within)

    def kill(self) -> None:
        """End it as a crash does; harmless if it has ended."""
        self._process.kill()
        self.wait()

    def log(self, event: str = "") -> list[dict[str, Any]]:
        """Return the lines that it logged so far, or those of one event."""
        return [line for line in _json_lines(self.errors) if event in ("", line.get("event"))]

    def __str__(self) -> str:
        tail = self.errors.read_text(errors="replace")[-3_000:]
        return f"--- {self.name}, pid {self.pid}, code {self._process.poll()}\n{tail}"


class Plant:
    """A store of its own, and the processes around it. Use it as a context manager.

    `folder` takes their logs and the handlers' audit, and is where they are started.
    """

    def __init__(self, folder: Path, *, server: str | None = None, **environment: str) -> None:
        self.folder = folder
        self.audit_file = folder / "audit"
        self._store = EmbeddedStore(server)
        self._processes: list[Running] = []
        self._environment = {
            **os.environ,
            "ROTA_REDIS_URL": self._store.url,
            "ROTA_LOG_FORMAT": "json",
            "ROTA_LOG_LEVEL": "debug",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")])),
            audit.VARIABLE: str(self.audit_file),
            **environment,
        }

    @property
    def url(self) -> str:
        """Return the address of the store."""
        return self._store.url

    def start(self, name: str, *words: str, cwd: Path | None = None) -> Running:
        """Start `python WORDS` under a name that is its own."""
        errors, output = (self.folder / f"{name}.{kind}" for kind in ("err", "out"))
        with errors.open("xb") as err, output.open("xb") as out:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=cwd or self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C is for the tests; they stop it
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - as the store itself is started
            )
        running = Running(name, self.folder, process)
        self._processes.append(running)
        return running

    def start_sched(self, config: str, name: str = "sched") -> Running:
        """Start a scheduler on a configuration, given as text; return when it fires."""
        path = self.folder / f"{name}.yaml"
        path.write_text(config)
        sched = self.start(name, "-m", "rota.scheduler", "run", str(path))
        _await_log(sched, "scheduler_started")
        return sched

    def start_worker(
        self, app: str, *flags: str, name: str = "worker", cwd: Path | None = None
    ) -> Running:
        """Start a worker that serves `app`; return when it has begun to work."""
        worker = self.start(name, "-m", "rota.worker", "run", "--app", app, *flags, cwd=cwd)
        _await_log(worker, "worker_started")
        return worker

    def ask(self, *words: str) -> Any:
        """Return what `sched WORDS -o json` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "rota.scheduler", *words, "-o", "json"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=30,
        )
        return json.loads(done.stdout)

    def audit(self) -> Audit:
        """Return what the handlers have written so far."""
        return Audit(self.audit_file, {each.pid: each.died_at for each in self._processes})

    def __enter__(self) -> Self:
        self._store.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.send(signal.SIGKILL)  # all, before any is waited for
        for process in self._processes:
            process.wait()
        self._store.stop()
        if error is not None:
            error.add_note("\n".join(map(str, self._processes)))


def _await_log(process: Running, event: str) -> None:
    def logged() -> bool:
        assert process.alive, f"ended before it logged {event}\n{process}"
        return bool(process.log(event))

    waits.until(logged, 20.0)


def _json_lines(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
