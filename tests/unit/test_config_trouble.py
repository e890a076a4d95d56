"""Breakers and freshness as people write them, in defaults and jobs, with error places."""

from pathlib import Path
from typing import Any

import pytest

from rota.common.job import PROBE_AFTER_MS, Job
from rota.scheduler import config
from rota.scheduler.config import InvalidConfig
from rota.scheduler.difference import Change, fields
from tests.support.definitions import job

MINUTE, HOUR = 60_000, 3_600_000


def load(tmp_path: Path, own: str, defaults: str = "{}") -> Job:
    """Return a job with these fields, on these defaults."""
    file = tmp_path / "rota.yaml"
    file.write_text(
        f"defaults: {defaults}\ngroups: {{gold: }}\n"
        f"tenants: {{acme: {{group: gold, jobs: {{j: {{handler: h, every: 1h{own}}}}}}}}}\n"
    )
    return config.load(file).jobs[0]


def said(each: Job) -> tuple[int, int, int]:
    """Return what a job says on the matter."""
    return each.pause_after_failures, each.probe_after_ms, each.fresh_within_ms


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ("", "{}", (0, PROBE_AFTER_MS, 0)),
        (
            ", pause_after_failures: 10, probe_after: 1h, fresh_within: 26h", "{}",
            (10, HOUR, 26 * HOUR),
        ),
        ("", "{pause_after_failures: 5, fresh_within: 2h}", (5, PROBE_AFTER_MS, 2 * HOUR)),
        (
            ", pause_after_failures: null, fresh_within: ~",
            "{pause_after_failures: 5, probe_after: 1m, fresh_within: 2h}", (0, MINUTE, 0),
        ),
        ("", "{pause_after_failures: null, fresh_within: null}", (0, PROBE_AFTER_MS, 0)),
    ],
)  # fmt: skip
def test_read(tmp_path: Path, own: str, defaults: str, expected: tuple[int, int, int]) -> None:
    """A job says it itself or stands on the defaults, and null takes it away."""
    assert expected == said(load(tmp_path, own, defaults))


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (", pause_after_failures: 0", "0 is out of range"),
        (", pause_after_failures: 1001", "1001 is out of range"),
        (", pause_after_failures: ten", "expected a number of runs, got text"),
        (", probe_after: 5", "expected a duration such as 10m, got the number 5"),
        (", probe_after: null", "expected a duration such as 10m, got null"),
        (", fresh_within: soon", "soon"),
    ],
)
def test_refused(tmp_path: Path, own: str, message: str) -> None:
    """What can't be is refused at its place."""
    with pytest.raises(InvalidConfig, match=message) as refusal:
        load(tmp_path, own)

    assert [3] == [problem.line for problem in refusal.value.problems]


@pytest.mark.parametrize(
    ("new", "changes"),
    [
        ({"pause_after_failures": 10}, [Change("pause_after_failures", None, 10)]),
        ({"probe_after_ms": HOUR}, [Change("probe_after", "10m", "1h")]),
        ({"fresh_within_ms": 26 * HOUR}, [Change("fresh_within", None, "1d2h")]),
    ],
)
def test_differences(new: dict[str, Any], changes: list[Change]) -> None:
    """A plan shows them as one writes them."""
    assert changes == fields(job(every="1h"), job(every="1h", **new))
