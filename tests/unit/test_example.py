"""The example is as large as it says, and each of its jobs has a handler that takes its arguments."""

from collections import Counter
from pathlib import Path

import pytest

from rota.scheduler import config

SAAS = Path(__file__).resolve().parent.parent.parent / "examples" / "saas"


@pytest.fixture(scope="module")
def example() -> config.Config:
    """Return the example's configuration."""
    return config.load(SAAS / "config")


def test_it_is_a_platform_of_some_size(example: config.Config) -> None:
    """The example has 3 groups, 50 tenants and 200 jobs at least, of every kind of schedule."""
    kinds = Counter(job.schedule.kind for job in example.jobs)

    assert len(example.groups) >= 3
    assert len(example.tenants) >= 50
    assert len(example.jobs) >= 200
    assert {"cron", "every", "after"} == set(kinds)


def test_its_readme_counts_right(example: config.Config) -> None:
    """The numbers in the example's README are those of its configuration."""
    text = (SAAS / "README.md").read_text()

    assert f"{len(example.tenants)} tenants" in text
    assert f"{len(example.jobs)} jobs" in text
