"""The first command on a fresh machine: it works, or says in a sentence why not."""

import ast
import builtins
import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BOOTSTRAP = ROOT / ".ci" / "bootstrap.py"
FIRST_READ = [
    BOOTSTRAP,
    *(ROOT / each / "__main__.py" for each in ("tests", "examples/saas", "examples/billing")),
]


@pytest.fixture
def bootstrap(tmp_path: Path) -> dict[str, Any]:
    """Return the globals of bootstrap.py, for an empty checkout of its own."""
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    functions: dict[str, Any] = runpy.run_path(str(BOOTSTRAP))["ensure"].__globals__
    venv = tmp_path / ".venv"
    functions.update(
        ROOT=tmp_path,
        LOCK=tmp_path / "requirements.lock",
        VENV=venv,
        PYTHON=venv / "bin" / "python",
        STAMP=venv / "rota.stamp",
    )
    return functions


@pytest.mark.parametrize("path", FIRST_READ, ids=lambda path: path.parent.name)
def test_what_is_read_first_parses_on_an_old_python(path: Path) -> None:
    """An old Python gets as far as the sentence that says that it is too old."""
    ast.parse(path.read_text(), feature_version=(3, 7))


def test_an_old_python_is_told_so(bootstrap: dict[str, Any]) -> None:
    """A Python that is too old ends with a sentence that names the version needed."""
    bootstrap["OLDEST"] = (99,)

    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer"):
        bootstrap["ensure"]()


def test_a_python_without_ensurepip_is_told_what_to_install(
    bootstrap: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system's Python can't make environments, the sentence names the package to add."""
    real = builtins.__import__

    def without_ensurepip(name: str, *rest: Any) -> ModuleType:
        if name == "ensurepip":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ensurepip)

    with pytest.raises(SystemExit, match="apt install python3-venv"):
        bootstrap["ensure"]()


def test_what_a_failing_step_said_is_shown(
    bootstrap: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """When pip fails, its own words reach the person."""
    bootstrap["LOCK"].write_text("no such line --at-all\n")

    with pytest.raises(SystemExit):
        bootstrap["ensure"]()

    assert "installing what is locked failed:\n" in capfd.readouterr().err
    assert not bootstrap["STAMP"].exists()


def test_an_environment_that_fits_is_left_alone(bootstrap: dict[str, Any]) -> None:
    """A second run does nothing, until a lock or the project's own file changes."""
    bootstrap["PYTHON"].parent.mkdir(parents=True)
    bootstrap["PYTHON"].write_text("")
    bootstrap["STAMP"].write_text(bootstrap["_wanted"]())
    made: list[bool] = []
    bootstrap["_make"] = lambda: made.append(True)
    bootstrap["ensure"]()
    before = len(made)
    bootstrap["LOCK"].write_text("changed\n")
    bootstrap["ensure"]()

    assert 0 == before
    assert 1 == len(made)
