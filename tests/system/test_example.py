"""README command 1, as a person runs it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
IN_CHECKOUT = (ROOT / "scheduler").is_dir()  # the tests also run away from the source
SECONDS = 20  # until a person has seen jobs of many tenants complete
COMPLETION = re.compile(r"  (?P<tenant>[\w.-]+)/[\w.-]+  succeeded  ")

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not IN_CHECKOUT, reason="the command belongs to a checkout"),
]


@pytest.fixture
def example(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the example with `tmp_path` as the folder for temporary files."""
    subprocess.run([sys.executable, ROOT / ".ci" / "bootstrap.py"], check=True)
    # Without what Python itself would leave behind at its first start.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("ROTA_EXAMPLE_DATA", None)
    command = [sys.executable, str(ROOT / "examples" / "saas")]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield process
        process.send_signal(signal.SIGTERM)


def tenants_served(process: subprocess.Popen[str], wanted: int) -> set[str]:
    """Read completions until so many tenants had one; end the process if that takes too long."""
    assert process.stdout is not None
    watchdog = threading.Timer(SECONDS, process.terminate)
    watchdog.start()
    served: set[str] = set()
    while len(served) < wanted and (line := process.stdout.readline()):
        if found := COMPLETION.search(line):
            served.add(found["tenant"])
    watchdog.cancel()
    return served


def processes_with(text: str) -> list[str]:
    """Return the command lines of the processes whose environment holds `text`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:  # gone meanwhile, or not ours
            continue
    return found


def files_in_checkout() -> set[Path]:
    """Return what lies in the example's folder, but for what Python keeps there for itself."""
    found = (ROOT / "examples").rglob("*")
    return {path for path in found if "__pycache__" not in path.parts}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_shows_jobs_and_leaves_nothing(
    example: subprocess.Popen[str], number: signal.Signals, tmp_path: Path
) -> None:
    """Within 20 s, jobs of 30 tenants complete; Ctrl-C leaves no process and no file."""
    before = files_in_checkout()
    served = tenants_served(example, 30)
    example.send_signal(number)
    example.communicate(timeout=30)

    assert len(served) >= 30
    assert 0 == example.returncode
    assert [] == processes_with(str(tmp_path))
    assert [] == list(tmp_path.iterdir())
    assert before == files_in_checkout()
