"""What deploy/ says fits the programs and the locks."""

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.core
import typer.main
import yaml

from rota.scheduler import cli as scheduler_cli
from rota.worker import cli as worker_cli

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
PROGRAMS = {"sched": scheduler_cli.app, "worker": worker_cli.app}


def compose() -> dict[str, Any]:
    """Return the compose file."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def unit(name: str) -> configparser.ConfigParser:
    """Return a systemd unit."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((DEPLOY / name).read_text())
    return parser


def unknown_words(words: list[str]) -> list[str]:
    """Return the command and the options in a command line that its program does not have."""
    program, command_name, *rest = words
    group = typer.main.get_command(PROGRAMS[program])
    assert isinstance(group, typer.core.TyperGroup)
    command = group.commands.get(command_name)
    if command is None:
        return [command_name]
    known = {option for parameter in command.params for option in parameter.opts}
    return [word for word in rest if word.startswith("-") and word not in known]


@pytest.mark.parametrize("service", ["sched", "worker"])
def test_compose_starts_commands_that_exist(service: str) -> None:
    """A container starts with a command and options that the program really has."""
    words = compose()["services"][service]["command"]

    assert service == words[0]
    assert [] == unknown_words(words)


@pytest.mark.parametrize("service", ["sched", "worker"])
def test_units_start_commands_that_exist(service: str) -> None:
    """A unit starts an installed program with a command and options that it really has."""
    name = "sched.service" if service == "sched" else "worker@.service"
    program, *rest = shlex.split(unit(name)["Service"]["ExecStart"])

    assert f"/opt/rota/bin/{service}" == program
    assert [] == unknown_words([service, *rest])


def test_image_starts_a_command_that_exists() -> None:
    """The image's own command, without a shell in between, is one that the scheduler has."""
    found = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None

    assert [] == unknown_words(yaml.safe_load(found[1]))


def test_a_worker_may_use_its_whole_grace() -> None:
    """Neither compose nor systemd kills a worker before its grace time is over."""
    in_compose = compose()["services"]["worker"]
    in_unit = unit("worker@.service")["Service"]

    assert seconds(in_compose["stop_grace_period"]) > grace(in_compose["command"])
    assert seconds(in_unit["TimeoutStopSec"]) > grace(shlex.split(in_unit["ExecStart"]))


def grace(words: list[str]) -> int:
    """Return the seconds of `--grace` in a command line."""
    return seconds(words[words.index("--grace") + 1])


def seconds(text: str) -> int:
    """Return the seconds of `25s`, or of systemd's `25`."""
    return int(text.removesuffix("s"))


def test_the_store_in_compose_forgets_nothing() -> None:
    """The store keeps queued runs over a restart, and drops none when it is full."""
    words = compose()["services"]["valkey"]["command"]

    assert "yes" == words[words.index("--appendonly") + 1]
    assert "noeviction" == words[words.index("--maxmemory-policy") + 1]


def locked(path: Path) -> dict[str, frozenset[str]]:
    """Return the hashes of each requirement in a lock file."""
    lines = path.read_text().replace("\\\n", " ").splitlines()
    wanted = [line.split() for line in lines if line and not line.startswith((" ", "#"))]
    return {
        words[0]: frozenset(word for word in words if word.startswith("--hash="))
        for words in wanted
    }


def test_the_image_runs_on_what_was_tested() -> None:
    """Each package of the image is one of those that the tests run with, to the hash."""
    everything = locked(ROOT / "requirements.lock")
    runtime = locked(DEPLOY / "requirements.lock")

    assert runtime
    assert runtime.items() <= everything.items()


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_locks_hold_every_requirement_with_hashes(lock: str) -> None:
    """A lock names every dependency of pyproject.toml, a hash for each, and no address."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["project"]["dependencies"]]
    if lock == "requirements.lock":
        named += project["project"]["optional-dependencies"]["dev"]
        named += project["dependency-groups"]["test"]
    hashes = locked(ROOT / lock)
    wanted = {re.split(r"[^A-Za-z0-9-]", name)[0] for name in named}

    assert wanted <= {name.partition("==")[0] for name in hashes}
    assert all(hashes.values())
    assert "://" not in (ROOT / lock).read_text()
