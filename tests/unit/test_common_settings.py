"""Settings, scripts and errors: what every process stands on."""

import inspect
import re
from hashlib import sha1

import pytest

from rota.common import errors, scripts, settings
from rota.common.errors import RotaError, StoreError, UsageError
from rota.common.settings import Settings
from rota.common.state import Operation
from rota.common.store import LEASE_MS


def test_defaults() -> None:
    """An empty environment, or empty variables, give a local store and logs for a terminal."""
    expected = Settings(redis_url="redis://127.0.0.1:6379/0", log_level="info", log_format="auto")

    assert expected == settings.read({})
    assert expected == settings.read({"ROTA_REDIS_URL": "", "ROTA_LOG_LEVEL": ""})


def test_environment() -> None:
    """Each setting is read from the variable of its name; other variables do not matter."""
    environ = {
        "ROTA_REDIS_URL": "redis://h:1/2",
        "ROTA_LOG_LEVEL": "debug",
        "ROTA_LOG_FORMAT": "json",
        "ROTA_ELSE": "x",
    }

    assert Settings(
        redis_url="redis://h:1/2", log_level="debug", log_format="json"
    ) == settings.read(environ)


def test_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an environment given, that of the process counts."""
    monkeypatch.setenv("ROTA_REDIS_URL", "redis://elsewhere")

    assert "redis://elsewhere" == settings.read().redis_url


def test_lease() -> None:
    """The lease is a duration; the usual one is what the store itself gives."""
    assert LEASE_MS == settings.read({}).lease_ms
    assert 90_000 == settings.read({"ROTA_LEASE": "1m30s"}).lease_ms


@pytest.mark.parametrize(("text", "reason"), [("15", "no duration"), ("1999ms", "too short")])
def test_wrong_lease(text: str, reason: str) -> None:
    """A lease that is no duration, or too short to be renewed, is a mistake that says what is."""
    with pytest.raises(UsageError, match=f"lease: .*{text}.* {reason}; write"):
        settings.read({"ROTA_LEASE": text})


@pytest.mark.parametrize("variable", ["ROTA_LOG_LEVEL", "ROTA_LOG_FORMAT"])
def test_wrong_setting(variable: str) -> None:
    """A wrong value is a mistake of usage; the message names the setting and the value."""
    field = variable.removeprefix("ROTA_").lower()
    with pytest.raises(UsageError, match=f"(?i)loud.*{field}|{field}.*loud"):
        settings.read({variable: "loud"})


@pytest.mark.parametrize(
    ("variable", "allowed"),
    [
        ("ROTA_DURABILITY", "standard or strict"),
        ("ROTA_LOG_LEVEL", "debug, info, warning or error"),
    ],
)
def test_allowed_values(variable: str, allowed: str) -> None:
    """Where only some values are allowed, the message lists them."""
    with pytest.raises(UsageError, match=f"{variable}: 'foo' is not allowed; write {allowed}$"):
        settings.read({variable: "foo"})


@pytest.mark.parametrize("operation", Operation)
def test_script(operation: Operation) -> None:
    """A script is the library and its own file, named by the hash that the store knows it by."""
    text, digest = scripts.script(operation)

    assert sha1(text, usedforsecurity=False).hexdigest() == digest
    assert text.endswith(scripts.source(operation).encode())


def test_only_new_work_needs_memory() -> None:
    """A full store refuses to enqueue, to call, and to plan, and nothing else."""
    strict = {op for op in Operation if b"allow-oom" not in scripts.script(op)[0].split(b"\n")[0]}

    assert {Operation.ENQUEUE, Operation.CALL, Operation.PLAN} == strict


def test_exit_codes() -> None:
    """Each class of error has the exit code that the module's own drawing says."""
    drawing = errors.__doc__ or ""
    drawn = dict(re.findall(r"(\w+) +(\d)   ", drawing))
    classes = {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, RotaError)
    }

    assert {name: str(kind.exit_code) for name, kind in classes.items()} == drawn
    assert issubclass(errors.StoreUnavailable, StoreError)
