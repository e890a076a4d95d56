"""Run everything that must hold: `python3 tests`; or some tests: `python3 tests -k config`.

`python3 tests --long` runs the long tier instead: long random walks and loads, all of the chaos.

Needs nothing but Python and git: the first run makes `.venv`, and as root on Debian or Ubuntu it
installs PostgreSQL; elsewhere the tests that need one are skipped without it. Arguments go to
pytest, and then only pytest runs. This file must parse on any Python 3 (see .ci/bootstrap.py).
"""

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"common", "scheduler", "worker"}
HANGS, LONGEST = "faulthandler_timeout", 1800  # seconds after which a long test hangs
WORKERS = "3"  # processes that run tests
NOT_COPIED = {*SOURCES, ".git", ".venv", ".bench", "dist", "build"}


def main() -> None:
    """Run each check in order; end at the first that fails, with its exit code."""
    python = Path(runpy.run_path(str(ROOT / ".ci" / "bootstrap.py"))["ensure"]())
    if sys.argv[1:] in ([], ["--long"]):
        have_postgresql()
    if sys.argv[1:] == ["--long"]:
        check("long: pytest", python, "-m", "pytest", "-m", "long", "-o", f"{HANGS}={LONGEST}")
        check("long: chaos", python, "-m", "tests.chaos", "all")
        return
    if sys.argv[1:]:
        sys.exit(subprocess.call([python, "-m", "pytest", *sys.argv[1:]], cwd=ROOT))
    check("ruff: rules", python, "-m", "ruff", "check", "--no-cache")
    check("ruff: format", python, "-m", "ruff", "format", "--check", "--no-cache")
    check("mypy", python, "-m", "mypy")
    check("import-linter: layers", python.with_name("lint-imports"))
    # Beside each other: most of the time of most tests is spent on waiting for a store.
    check("pytest", python, "-m", "pytest", "-q", "-n", WORKERS)
    check("pytest: chaos, the quick tier", python, "-m", "pytest", "-m", "chaos")
    with tempfile.TemporaryDirectory(prefix="rota-wheel-") as away:
        check_wheel(python, Path(away))


def have_postgresql() -> None:
    """Install the server that some tests start, where there is none and we may."""
    if shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return
    if os.getuid() != 0 or not shutil.which("apt-get"):
        print("    no PostgreSQL here, e.g. `apt install postgresql`: its tests are skipped")
        return
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for words in (["update"], ["install", "--yes", "--no-install-recommends", "postgresql"]):
        print(f"    apt-get {' '.join(words)}", flush=True)
        command = ["apt-get", "--quiet=2", *words]
        if subprocess.call(command, env=environment, stdout=subprocess.DEVNULL):
            print("    could not install PostgreSQL: its tests are skipped")
            return


def check_wheel(python: Path, away: Path) -> None:
    """Run the tests on the wheel, in an environment and a folder away from the source."""
    installed = away / "venv" / "bin" / "python"
    copy = away / "copy"
    check("wheel: build", python, "-m", "hatchling", "build", "-t", "wheel", "-d", away)
    wheel = next(away.glob("*.whl"))
    make_environment(python, away / "venv")
    pip = (python, "-m", "pip", "--python", installed, "--disable-pip-version-check")
    check("wheel: install", *pip, "install", "--quiet", "--no-deps", wheel)
    copy_all_but_source(copy)
    check("wheel: is what is imported", installed, "-c", PROBE, away / "venv", cwd=copy)
    # What the source did and the wheel might not: real processes, and whatever is read from files.
    system = [f"tests/system/test_{n}.py" for n in ("embedded_only", "isolation", "sched_cli")]
    wanted = ("tests/unit", *system, "-q", "-n", WORKERS)
    check("wheel: pytest", installed, "-m", "pytest", *wanted, cwd=copy)


PROBE = """
import sys, rota.common, rota.scheduler, rota.worker
for part in (rota.common, rota.scheduler, rota.worker):
    print(part.__path__[0])
    assert all(path.startswith(sys.argv[1]) for path in part.__path__), part.__path__
"""


def make_environment(python: Path, folder: Path) -> None:
    """Make an environment that sees the packages of `python`, but not its editable Rota.

    A line of a .pth file puts a folder on sys.path; the .pth files inside that folder, which is
    where the editable Rota hangs, are not read.
    """
    venv.create(folder, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    locked = next(python.parent.parent.glob("lib/python*/site-packages"))
    (site / "locked.pth").write_text(f"{locked}\n")


def copy_all_but_source(copy: Path) -> None:
    """Copy the checkout to `copy`, without the three parts' source."""
    copy.mkdir()
    caches = shutil.ignore_patterns("*_cache", "__pycache__")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name not in NOT_COPIED and not path.name.endswith("_cache"):
            shutil.copytree(path, copy / path.name, ignore=caches)
        elif path.is_file():
            shutil.copy(path, copy)


def check(name: str, *command: "str | Path", cwd: Path = ROOT) -> None:
    """Run one check under a heading; end the program with its exit code if it fails."""
    print(f"\n=== {name}", flush=True)
    started = time.perf_counter()
    code = subprocess.call([str(part) for part in command], cwd=cwd)
    print(f"    {name} {'FAILED' if code else 'took'} {time.perf_counter() - started:.1f} s")
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
