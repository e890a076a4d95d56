"""Break things on purpose and count what was lost: `python -m tests.chaos SCENARIO`."""

import argparse
import signal
import sys
from random import SystemRandom

from rota.common import duration, settings
from tests.chaos import report
from tests.chaos.driver import Plan
from tests.chaos.scenarios import SCENARIOS, Scenario

_MANY = 1_000_000


def main() -> None:
    """Run what the command line asks for; exit 1 if a promise was broken."""
    given = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    if given.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:<15} {scenario.total:>4} faults  {scenario.about}")
        return
    chosen = list(SCENARIOS) if given.scenario == "all" else [given.scenario]
    seed = SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    lease = duration.parse(given.lease) / 1000
    rows = [
        report.carry_out(
            _plan(SCENARIOS[name], seed, lease, given.faults, given.seconds), keep=given.keep
        )
        for name in chosen
    ]
    report.print_table(rows)
    sys.exit(any(row.verdict is None or not row.verdict.ok for row in rows))


def _plan(
    scenario: Scenario, seed: int, lease: float, faults: int | None, seconds: float | None
) -> Plan:
    most = faults or (scenario.total if seconds is None else _MANY)
    return Plan(scenario, seed, lease, most, seconds or float("inf"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("scenario", nargs="?", choices=[*SCENARIOS, "all"], default="all")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    parser.add_argument("--seconds", type=float, help="inject faults for so long")
    parser.add_argument("--faults", type=int, help="inject so many; all if neither is given")
    parser.add_argument("--seed", type=int, help="repeat the choices of an earlier run")
    parser.add_argument("--lease", default=settings.Settings().lease, help="such as 3s")
    parser.add_argument("--keep", action="store_true", help="keep the logs of a success, too")
    return parser.parse_args()


if __name__ == "__main__":
    main()
