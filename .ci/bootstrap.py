"""Make the checkout's own environment, `.venv`, from what is locked; nothing but Python is needed.

This file must parse on any Python 3, to say in a sentence that this one is too old.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "rota.stamp"


def ensure():
    """Return the Python of an environment that holds Rota (editable) and all that is locked.

    Makes it, or brings it up to date, where needed; ends the program with a sentence if it can't.
    """
    if sys.version_info < OLDEST:
        sys.exit("Rota needs Python 3.11 or newer; this is " + sys.version.split()[0])
    with _alone():
        if not _is_current():
            _make()
    return PYTHON


@contextlib.contextmanager
def _alone():
    """Wait until no other run makes the environment. The lock is on the folder: no file is left."""
    folder = os.open(str(ROOT), os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another run that makes .venv")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _is_current():
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _wanted()


def _wanted():
    """Return what the stamp says when the environment fits the checkout and this Python."""
    digest = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes())
    major, minor = sys.version_info[:2]
    return f"{ROOT} {major}.{minor} {digest.hexdigest()}\n"


def _make():
    try:
        import ensurepip  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        sys.exit(
            "Python's own venv module is incomplete here: it can't install pip. On Debian and"
            " Ubuntu do: apt install python3-venv"
        )
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    editable = [*pip, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    _step("making .venv", [sys.executable, "-m", "venv", "--clear", str(VENV)])
    _step("installing what is locked", [*pip, "--require-hashes", "--requirement", str(LOCK)])
    _step("installing Rota, editable", editable)
    STAMP.write_text(_wanted())


def _step(what, command):
    """Run one command quietly; if it fails, show what it said and end the program."""
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        _say(f"{what} failed:\n{done.stdout.decode(errors='replace')}")
        sys.exit(1)
    _say(f"{what} took {time.perf_counter() - started:.1f} s")


def _say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(ensure())
