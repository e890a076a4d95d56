"""The quick tier: some of the scenarios for a short time, with a short lease."""

from pathlib import Path
from random import SystemRandom

import pytest

from tests.chaos import checker, driver, history
from tests.chaos.driver import Plan
from tests.chaos.scenarios import SCENARIOS

pytestmark = pytest.mark.chaos

LEASE = 3.0  # seconds
SECONDS = 12.0  # of faults; then everything settles and drains


@pytest.mark.parametrize("name", ["workers", "schedulers", "redis-aof"])
async def test_nothing_is_lost_and_nothing_runs_twice_at_once(name: str, tmp_path: Path) -> None:
    """Whatever is killed: every promise holds, seen from outside. The seed is told on failure."""
    scenario = SCENARIOS[name]
    seed = SystemRandom().randrange(1_000_000)
    print(f"python -m tests.chaos {name} --seconds {SECONDS:g} --lease {LEASE:g}s --seed {seed}")
    plan = Plan(scenario, seed, LEASE, scenario.total, SECONDS)
    await driver.drive(plan, tmp_path)
    verdict = checker.check(history.load(tmp_path), scenario.limits(LEASE))

    # How long a recovery takes is for the long tier to tell: here others use the machine, too.
    verdict.violations.pop("slow recovery", None)

    assert [] == verdict.complaints()
    assert verdict.faults
    assert verdict.runs > 200
