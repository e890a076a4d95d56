"""The `worker` command: what it says when it can't work, and how fast it says what it can do."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from rota.common.embedded import free_port
from tests.support.processes import ROOT

APP = "tests.support.child_app"


def worker(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Return how `worker WORDS` ended, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rota.worker", *words],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--app", "nowhere"), ["app 'nowhere'", "there is no module 'nowhere'"]),
        (("--app", "tests.support.waits"), ["tests.support.waits", "rota.worker.Jobs"]),
        (("--app", "jobs.py"), ["'jobs.py'", "such as jobs"]),
        (("--app", APP, "--groups", "gold,no group"), ["--groups", "'no group'"]),
        (("--app", APP, "--grace", "soon"), ["--grace", "'soon'", "30s"]),
        (("--app", APP, "--concurrency", "0"), ["--concurrency"]),
        ((), ["--app"]),
    ],
)
def test_usage(words: tuple[str, ...], said: list[str]) -> None:
    """A command line that can't be right ends with 2, and says what is wrong with which part."""
    done = worker("run", *words)

    assert 2 == done.returncode
    assert "" == done.stdout
    assert [] == [text for text in said if text not in done.stderr]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ROTA_REDIS_URL": "http://user:s3cret@host"}, "ROTA_REDIS_URL"),
        ({"ROTA_LOG_LEVEL": "loud"}, "ROTA_LOG_LEVEL"),
        ({"ROTA_LEASE": "1s"}, "ROTA_LEASE"),
    ],
)
def test_environment(environment: dict[str, str], said: str) -> None:
    """A variable that can't be right ends the command with 2, is named, and shows no password."""
    done = worker("run", "--app", APP, **environment)

    assert 2 == done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_no_store() -> None:
    """A store that can't be reached ends the command with 4, and the message names it."""
    port = free_port()
    done = worker("run", "--app", APP, ROTA_REDIS_URL=f"redis://user:s3cret@127.0.0.1:{port}/0")

    assert 4 == done.returncode
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("words", [("--help",), ("run", "--help")])
def test_help(words: tuple[str, ...]) -> None:
    """Help is on standard output and takes no connection and no store library."""
    done = worker(*words, PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}

    assert 0 == done.returncode
    assert {"typer", "rota.worker.cli"} <= loaded
    assert set() == {"redis", "redis.asyncio", "rota.common.link"} & loaded


def test_help_tells_exit_codes() -> None:
    """Help tells the exit codes and which variable names the store."""
    said = worker("--help").stdout

    told = "Exit codes: 0 ok, 1 unexpected, 2 usage, 4 store unreachable, 6 refused"

    assert told in " ".join(said.split())
    assert "ROTA_REDIS_URL" in said


def test_version() -> None:
    """`worker --version` tells the name and the version of the distribution."""
    done = worker("--version")

    assert (0, f"rota {metadata.version('rota')}\n", "") == (
        done.returncode,
        done.stdout,
        done.stderr,
    )


def test_no_arguments() -> None:
    """Without arguments the command says what it can do."""
    done = worker()

    assert 2 == done.returncode
    assert "run" in done.stdout + done.stderr
