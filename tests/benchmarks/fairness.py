"""Measure fair shares on real processes: `python -m tests.benchmarks.fairness`."""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.benchmarks import claim_cost, figure, sharing, waiting
from tests.benchmarks.figure import FULL, QUICK, Figure, Size

SCENARIOS: dict[str, Callable[[Path, Size], Coroutine[Any, Any, list[Figure]]]] = {
    "flood": waiting.flood,
    "equal": sharing.equal,
    "weights": sharing.weighted,
    "long": waiting.beside_long,
    "joined": sharing.joined,
    "groups": sharing.between_groups,
    "claims": claim_cost.claims,
}


def main() -> None:
    """Run what the command line asks for; exit 1 if a bound was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.fairness", description=__doc__
    )
    parser.add_argument("scenario", nargs="*", help=f"some of {', '.join(SCENARIOS)}; or all")
    parser.add_argument(
        "--quick", action="store_true", help="a fifth of the time, a tenth of the flood"
    )
    given = parser.parse_args()
    if unknown := set(given.scenario) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
        for name in given.scenario or SCENARIOS:
            print(f"{name} ...", file=sys.stderr, flush=True)
            size = QUICK if given.quick else FULL
            figures += asyncio.run(SCENARIOS[name](Path(folder) / name, size))
    figure.print_table(figures)
    sys.exit(not all(each.kept for each in figures))


if __name__ == "__main__":
    main()
