"""Logs: a traceback is readable for people and a field for programs, and gives no secrets away."""

import io
import json
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from rota.common import log
from rota.common.settings import Settings

TRACE = 'Traceback (most recent call last):\n  File "jobs.py", line 3\nOSError: \x1b[2Jno'


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave structlog as it was."""
    yield
    structlog.reset_defaults()


def written(form: Literal["json", "text"], *, raising: bool = False) -> str:
    """Return what is logged of a failure that came as text, or of an error that is raised here."""
    stream = io.StringIO()
    logger = log.configure(Settings(log_format=form), stream=stream)
    if not raising:
        logger.warning("run_failed", error="OSError", traceback=TRACE)
        return stream.getvalue()
    try:
        _log_in("s3" + "cret" * raising)  # put together, or the code that is shown would hold it
    except ValueError:
        logger.exception("service_failed")
    return stream.getvalue()


def _log_in(password: str) -> None:
    raise ValueError(f"{len(password)} characters")


def test_text() -> None:
    """People see a traceback line by line below the event, and it does nothing to a terminal."""
    first, *rest = written("text").splitlines()

    assert "run_failed" in first
    assert "Traceback" not in first
    assert [*TRACE.splitlines()[:2], "OSError: ?[2Jno"] == rest


def test_json() -> None:
    """Programs get it as one field of one line."""
    (line,) = written("json").splitlines()

    assert TRACE == json.loads(line)["traceback"]


def test_no_traceback() -> None:
    """A failure without a traceback is one line."""
    stream = io.StringIO()
    log.configure(Settings(log_format="text"), stream=stream).warning("run_failed", traceback="")

    assert 1 == len(stream.getvalue().splitlines())
    assert "traceback" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_values(form: Literal["json", "text"]) -> None:
    """The traceback of an error tells where it was raised, and not what variables held."""
    text = written(form, raising=True)

    assert "6 characters" in text
    assert "test_common_log.py" in text
    assert "s3cret" not in text
