"""One handler's work does not stall another's, as long as it keeps off the loop."""

from collections.abc import Iterator

import pytest

from tests.support import waits
from tests.support.audit import Attempt, Audit
from tests.support.processes import Plant

pytestmark = pytest.mark.system

SECONDS = 1.5  # that each of the heavy handlers takes
HEAVY = {"compute": "compute", "block": "work-in-thread", "stall": "stall"}
TICKERS = 3  # tenants whose handlers tick on the loop, so that one of them is always at it
CONFIG = "\n".join(
    [
        "groups: {gold: {}}",
        "tenants:",
        *(
            f"  ticker-{number}: {{group: gold, jobs: {{tick: {{handler: tick, after: 100ms}}}}}}"
            for number in range(TICKERS)
        ),
        "  heavy:",
        "    group: gold",
        "    jobs:",
        *(
            f"      {name}: {{handler: {handler}, cron: '@yearly', args: {{seconds: {SECONDS}}}}}"
            for name, handler in HEAVY.items()
        ),
    ]
)


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """Let light handlers tick, and beside them one heavy handler after the other run."""
    with Plant(tmp_path_factory.mktemp("isolation")) as plant:
        plant.start_sched(CONFIG)
        plant.start_worker("tests.system.app.handlers")
        waits.until(lambda: len(plant.audit().lines) > 20 * TICKERS, 20.0)
        for name in HEAVY:
            plant.ask("trigger", f"heavy/{name}", "--wait")
        yield plant.audit()


def stalled(audit: Audit, heavy: Attempt) -> float:
    """Return the longest part of a heavy attempt in which no light handler came to its turn."""
    return audit.longest_silence("tick", heavy.start, heavy.end) / (heavy.end - heavy.start)


@pytest.mark.parametrize("name", ["compute", "block"])
def test_heavy_handlers_stall_nobody(audit: Audit, name: str) -> None:
    """A handler that computes in a process, or blocks a thread, leaves the loop to the others."""
    (heavy,) = audit.of(f"heavy/{name}")

    assert heavy.end - heavy.start >= SECONDS
    assert stalled(audit, heavy) < 0.3


def test_a_handler_that_blocks_the_loop_is_seen(audit: Audit) -> None:
    """The measure itself holds: the handler that blocks the loop stalls the others throughout."""
    (heavy,) = audit.of("heavy/stall")

    assert stalled(audit, heavy) > 0.9
