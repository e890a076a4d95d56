"""`sched runs`: what is a job, what is one of its runs, and what is neither."""

import pytest
from typer.testing import CliRunner

from rota.scheduler.cli import app


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--help"], 0, "show"),
        (["show", "--help"], 0, "--follow"),
        (["acme/import", "--help"], 0, "TENANT/JOB"),
        (["-n", "3"], 2, "TENANT/JOB"),
        ([], 2, "TENANT/JOB"),
        (["acme"], 2, "expected TENANT/JOB"),
        (["list", "acme"], 2, "expected TENANT/JOB"),
        (["show", "acme/import"], 2, "expected a JOB_ID"),
        (["show"], 2, "JOB_ID"),
    ],
)
def test_words(words: list[str], code: int, told: str) -> None:
    """`list` may be left out before TENANT/JOB; whatever is wrong is told, and is a usage error."""
    done = CliRunner().invoke(app, ["runs", *words], env={"COLUMNS": "200"})

    assert code == done.exit_code
    assert told in done.output
