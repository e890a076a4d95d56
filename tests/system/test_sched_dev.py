"""`sched dev`: it all runs from one command, says why when it can't, and leaves nothing behind."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support import waits

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]

LONGEST = 30.0  # seconds after which a command is ended that hangs
CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      import: {handler: orders.import, every: 100ms}
      fail: {handler: orders.fail, every: 100ms, retry: {attempts: 1}}
"""
JOBS = """
from rota.worker import Jobs

jobs = Jobs()

@jobs.handler("orders.import")
async def import_orders(ctx) -> None: ...

@jobs.handler("orders.fail")
def fail(ctx) -> None:
    raise ValueError("no\\x1b[31m\\norders")
"""


class Place:
    """A folder in which `sched dev` is started, and all that came from there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {**os.environ, "ROTA_TEST_PLACE": str(folder)}
        self._environment.pop("PYTHONUNBUFFERED", None)
        self._watchdogs: list[threading.Timer] = []

    def start(self, *words: str, terminal: int | None = None) -> subprocess.Popen[str]:
        """Start `sched dev WORDS`; on a terminal, if there is one."""
        piped = subprocess.PIPE if terminal is None else terminal
        process = subprocess.Popen(
            [sys.executable, "-m", "rota.scheduler", "dev", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=piped,
            stderr=piped,
            text=True,
        )
        watchdog = threading.Timer(LONGEST, process.kill)  # whoever reads then reads no more
        watchdog.start()
        self._watchdogs.append(watchdog)
        return process

    def clean_up(self) -> None:
        """Kill whatever is left."""
        for watchdog in self._watchdogs:
            watchdog.cancel()
        for pid in self._processes():
            os.kill(pid, signal.SIGKILL)

    def is_empty(self) -> bool:
        """Tell whether no process that was started from here is left, a store aside."""
        return not self._processes()

    def _processes(self) -> list[int]:
        mark = f"ROTA_TEST_PLACE={self.folder}\0".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # gone meanwhile, or not ours
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found


def children(parent: int) -> dict[int, str]:
    """Return the command lines of the processes that `parent` has started, by pid."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile
            if f"\nPPid:\t{parent}\n" in (entry / "status").read_text():
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended, whether or not somebody has taken note of that."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def port(banner: str) -> int:
    """Return the store's port that the banner tells."""
    found = re.search(r"redis://127\.0\.0\.1:(\d+)/0", banner)
    assert found is not None
    return int(found[1])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a folder with a configuration and handlers; whatever is left there is killed."""
    (tmp_path / "rota.yaml").write_text(CONFIG)
    (tmp_path / "jobs.py").write_text(JOBS)
    place = Place(tmp_path)
    yield place
    place.clean_up()


def read_until(process: subprocess.Popen[str], *words: str) -> list[str]:
    """Return the lines of standard output up to where each of `words` was seen."""
    assert process.stdout is not None
    lines: list[str] = []
    missing = set(words)
    while missing:
        line = process.stdout.readline()
        assert line, f"ended without {missing}"
        lines.append(line.rstrip("\n"))
        missing -= {word for word in missing if word in line}
    return lines


def test_killed(place: Place) -> None:
    """When it is killed, its store and its workers die with it."""
    process = place.start("--workers", "2")
    banner = read_until(process, "succeeded")[0]
    family = children(process.pid)
    commands = " ".join(family.values())
    process.kill()
    process.communicate()
    waits.until(lambda: all(map(is_gone, family)))

    assert 3 == len(family)
    assert 2 == commands.count("rota.worker run")
    assert f"-server 127.0.0.1:{port(banner)}" in commands
    assert not waits.listens(port(banner))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(place: Place, number: signal.Signals) -> None:
    """When it is asked to end it does so with 0, and nothing is left."""
    process = place.start()
    read_until(process, "succeeded")
    family = children(process.pid)
    before = set(place.folder.iterdir())
    process.send_signal(number)
    process.communicate(timeout=20)

    assert 0 == process.returncode
    assert 2 == len(family)
    assert all(map(is_gone, family))
    assert before == set(place.folder.iterdir())


def test_plain_output(place: Place) -> None:
    """Into a pipe it prints how to ask it, then one line for each completion, without animation."""
    process = place.start()
    lines = read_until(process, "acme/import  succeeded", "acme/fail  dead")
    process.terminate()
    process.communicate(timeout=20)
    start = next(n for n, line in enumerate(lines) if not line)
    told = lines[start + 1 :]

    assert ["Store", "Config", "Workers", "Try"] == [line.split()[0] for line in lines[:start]]
    assert all("  gold  acme/" in line for line in told), told
    assert any(line.endswith("ValueError: no?[31m?orders") for line in told)


def test_banner_at_once(place: Place) -> None:
    """How to ask it is told at once, also where nothing is due for long."""
    (place.folder / "rota.yaml").write_text(CONFIG.replace("100ms", "366d"))
    process = place.start()
    lines = read_until(process, "Try ")
    process.terminate()
    process.communicate(timeout=20)

    assert "1 group, 1 tenant, 2 jobs" in lines[1]


def test_no_config(place: Place) -> None:
    """Without a configuration it exits with 2, and says what it looked for."""
    (place.folder / "rota.yaml").unlink()
    process = place.start()
    out, errors = process.communicate(timeout=20)

    assert (2, "") == (process.returncode, out)
    assert "rota.yaml" in errors
    assert "name a file or a directory" in errors


def test_no_handlers(place: Place) -> None:
    """Without handlers it exits with 2, and says how to name them."""
    (place.folder / "jobs.py").unlink()
    process = place.start()
    out, errors = process.communicate(timeout=20)

    assert (2, "") == (process.returncode, out)
    assert "--app" in errors


def test_invalid_config(place: Place) -> None:
    """With an invalid configuration it exits with 3, and nothing is started."""
    (place.folder / "rota.yaml").write_text("groups: {gold: {}}\ntenant: {}\n")
    process = place.start()
    out, errors = process.communicate(timeout=20)

    assert (3, "") == (process.returncode, out)
    assert "rota.yaml:2:1" in errors


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("raise RuntimeError('no licence')", "no licence"),
        ("import a_package_that_is_not_there", "a_package_that_is_not_there"),
        ("", "rota.worker.Jobs"),
    ],
)
def test_app_that_fails(place: Place, content: str, reason: str) -> None:
    """Where the handlers can't be imported it exits with 2, says why at last, leaves nothing."""
    (place.folder / "jobs.py").write_text(content)
    process = place.start()
    out, errors = process.communicate(timeout=20)

    assert 2 == process.returncode
    assert reason in errors.splitlines()[-1]
    assert not waits.listens(port(out))
    assert place.is_empty()


def test_app_that_fails_on_a_terminal(place: Place) -> None:
    """On a terminal the reason is shown below the live view, however much else is logged."""
    # More lines than the live view has place for.
    (place.folder / "jobs.py").write_text(r"raise RuntimeError('no licence' + '\n more' * 8)")
    near, far = pty.openpty()
    process = place.start(terminal=far)
    os.close(far)
    text = read_terminal(near)

    assert 2 == process.wait(20)
    assert "no licence" in text[text.rindex("tenants seen") :]
    assert not waits.listens(port(text))
    assert place.is_empty()


def test_live_view(place: Place) -> None:
    """On a terminal it draws who completed what; Ctrl-C ends it."""
    near, far = pty.openpty()
    process = place.start(terminal=far)
    os.close(far)
    seen = read_terminal(near, "1 of 1 tenants seen")
    process.send_signal(signal.SIGINT)
    seen += read_terminal(near)

    assert 0 == process.wait(20)
    assert "acme" in seen
    assert "Ctrl-C" in seen


def read_terminal(terminal: int, word: str | None = None) -> str:
    """Return what is shown until `word` is, or else until the end."""
    text = ""
    while word is None or word not in text:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        text += part.decode(errors="replace")
    if word is None:
        os.close(terminal)
    return text
