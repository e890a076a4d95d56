"""What is wrong with the user's module is told where it is: in the user's file, not in ours."""

import subprocess
import sys
from pathlib import Path

import pytest


def said(folder: Path, **files: str) -> str:
    """Return what `worker run --app jobs` says about these modules, which it refuses."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "rota.worker", "run", "--app", "jobs"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert 2 == done.returncode
    assert 1 == done.stderr.count("\n")
    assert "Traceback" not in done.stderr
    assert "importlib" not in done.stderr
    assert "registry.py" not in done.stderr
    return done.stderr


def test_syntax_error(tmp_path: Path) -> None:
    """A module that is no Python tells its line and what is wrong there."""
    text = said(tmp_path, jobs="import sys\n\nnumbers = [1, 2\n")

    assert f"SyntaxError: '[' was never closed (at {tmp_path}/jobs.py:3)\n" in text


def test_syntax_error_in_another_module(tmp_path: Path) -> None:
    """The module that is wrong is named, not the one that imports it."""
    text = said(tmp_path, jobs="import sys\nimport other\n", other="\n\ndef f(:\n")

    assert f"(at {tmp_path}/other.py:3)\n" in text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import absent_library", "ModuleNotFoundError: No module named 'absent_library'"),
        ("from json import nothing", "ImportError: cannot import name 'nothing' from 'json'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_error_of_the_module(tmp_path: Path, line: str, message: str) -> None:
    """A module that fails when it is imported tells its line and the error."""
    text = said(tmp_path, jobs=f"import sys\n{line}\n")

    assert message in text
    assert f"(at {tmp_path}/jobs.py:2)\n" in text


def test_error_in_a_library(tmp_path: Path) -> None:
    """Where a library raises, the line of the user's that led to it is told as well."""
    text = said(tmp_path, jobs="import json\n\njson.loads('{')\n")

    assert "JSONDecodeError" in text
    assert "decoder.py:" in text
    assert f", by way of {tmp_path}/jobs.py:3)\n" in text
