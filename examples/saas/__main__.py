"""Start the example: `python3 examples/saas`. Options of `sched dev` may follow.

Needs nothing but Python and git: the first start makes `.venv`. The jobs' files and databases live
in a temporary folder that goes when the example ends, unless ROTA_EXAMPLE_DATA names another.
This file must parse on any Python 3 (see .ci/bootstrap.py).
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOOTSTRAP = HERE.parent.parent / ".ci" / "bootstrap.py"


def main() -> int:
    """Run `sched dev` on this example until it ends; return its exit code."""
    python = Path(runpy.run_path(str(BOOTSTRAP))["ensure"]())
    sched = str(python.with_name("sched"))
    command = [sched, "dev", str(HERE / "config"), *sys.argv[1:]]
    kept = os.environ.get("ROTA_EXAMPLE_DATA")
    if kept:
        return run(command, kept)
    with tempfile.TemporaryDirectory(prefix="rota-saas-", ignore_cleanup_errors=True) as data:
        return run(command, data)


def run(command: "list[str]", data: str) -> int:
    """Run the command with the jobs' data folder in its environment; return its exit code.

    It gets a session of its own, and each signal that we get is passed on to it. So one Ctrl-C,
    which a terminal sends to everybody, reaches it once: a second means to end at once.
    """
    print(f"data: {data}", file=sys.stderr, flush=True)
    environment = dict(
        os.environ,
        PYTHONDONTWRITEBYTECODE="1",  # the example leaves nothing in the checkout
        ROTA_EXAMPLE_DATA=data,
    )
    early: list[int] = []  # signals that came before there was anybody to pass them to
    child = None

    def forward(number: int, _frame: object) -> None:
        if child is None:
            early.append(number)
        else:
            child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, forward)
    child = subprocess.Popen(command, env=environment, start_new_session=True)
    for missed in early:
        child.send_signal(missed)
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
