"""The example is as large as it says, and its handlers take what its jobs hand them."""

import sys
from collections import Counter
from pathlib import Path

import pytest

from rota.common import message
from rota.scheduler import config
from rota.worker import registry

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


def test_each_job_has_a_handler_that_takes_its_arguments(
    example: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of the example names a handler of `jobs.py`, and its arguments have the right types."""
    monkeypatch.chdir(SAAS)
    monkeypatch.setattr(sys, "path", [str(SAAS), *sys.path])
    for module in ("jobs", "storage"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    handlers = registry.load_app("jobs").handlers
    for module in ("jobs", "storage"):
        monkeypatch.delitem(sys.modules, module)
    used = {job.handler for job in example.jobs}
    for job in example.jobs:
        handlers[job.handler].arguments.decode(message.encode(job.args))

    assert used == set(handlers)
    assert {"loop", "thread", "process"} == {handler.isolation for handler in handlers.values()}
