"""A job whose handler no worker serves waits, is shown, and runs when a worker serves it."""

from pathlib import Path
from typing import Any

import pytest

from tests.support import waits
from tests.support.processes import Plant

pytestmark = pytest.mark.system

CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      sync:  {handler: work, every: 500ms}
      later: {handler: late, every: 1s}
"""


def test_a_job_waits_for_a_worker_that_serves_it(tmp_path: Path) -> None:
    """It holds nobody up, status and log show it, and it runs later, on its first attempt."""
    with Plant(tmp_path) as plant:
        plant.start_worker("tests.system.app.handlers", "--groups", "gold", name="other")
        sched = plant.start_sched(CONFIG)
        waits.until(lambda: bool(sched.log("handler_unserved")), 20.0)
        waits.until(lambda: len(plant.audit().of("acme/sync")) >= 3, 20.0)
        shown: dict[str, Any] = {}
        waits.until(lambda: shows_held(plant, shown), 20.0)
        plant.start_worker("tests.system.app.late", "--groups", "gold", name="late")
        waits.until(lambda: bool(plant.audit().of("acme/later")), 20.0)
        waits.until(lambda: bool(sched.log("handler_served")), 20.0)
        warned = sched.log("handler_unserved")
        run = plant.audit().of("acme/later")[0]
        after = plant.ask("status")
    jobs = {row["job"]: row for row in shown["jobs"]}

    assert [("gold", "late", 1)] == [
        (line["group"], line["handler"], line["jobs"]) for line in warned
    ]
    assert ["late"] == shown["groups"][0]["unserved"]
    assert {"acme/later": False, "acme/sync": True} == {n: j["served"] for n, j in jobs.items()}
    assert run.job_id == jobs["acme/later"]["in_flight"]
    assert 1 == run.attempt
    assert [] == after["groups"][0]["unserved"]
    assert "late" not in after["groups"][0]["held"]


def shows_held(plant: Plant, shown: dict[str, Any]) -> bool:
    """Tell whether the status, which is put into `shown`, has a run held for `late`."""
    shown.update(plant.ask("status", "--jobs"))
    return bool(shown["groups"][0]["held"] == {"late": 1})


def test_workers_of_different_handlers_do_not_delay_each_other(tmp_path: Path) -> None:
    """A worker that is idle and serves a job runs it at its rate, whoever else is in the group."""
    groups = ("--groups", "gold")
    with Plant(tmp_path) as plant:
        plant.start_worker("tests.system.app.late", *groups, name="late")
        plant.start_worker("tests.system.app.handlers", *groups, name="other")
        sched = plant.start_sched(CONFIG.replace("every: 1s", "every: 1h"))
        waits.until(
            lambda: len(plant.audit().of("acme/sync")) > 8 or bool(sched.log("occurrence_skipped")),
            30.0,
        )
        skipped = sched.log("occurrence_skipped")
        gaps = plant.audit().between_starts("acme/sync")

    assert [] == skipped
    assert 0.5 == pytest.approx(sum(gaps) / len(gaps), rel=0.2)
