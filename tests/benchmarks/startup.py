"""Start-up: from the start of the scheduler until it leads and all definitions are in it.

First on an empty store, to which the configuration is published; then on one that knows it already.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import fires, page
from tests.benchmarks.fires import Fleet


def main() -> None:
    """Measure the numbers of definitions that the command line names."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("definitions", nargs="*", type=int, default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    rows = []
    for count in given.definitions:
        print(f"{count:,} definitions ...", file=sys.stderr, flush=True)
        first, again = _measured(count)
        rows.append((f"{count:,}", f"{first:.1f} s", f"{again:.1f} s"))
    head = ("definitions", "empty store", "known to the store")
    print(f"{page.machine()}\n\n{page.table(head, rows)}")


def _measured(count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder, Fleet(Path(folder)) as fleet:
        config = Path(folder) / "rota.yaml"
        fires.write_config(config, count, {"handler": "fire", "cron": "0 3 * * *"})
        words = (sys.executable, "-m", "rota.scheduler", "run", str(config))
        first = fleet.start("first", *words, until="group_led")
        fleet.stop("first")
        return first, fleet.start("again", *words, until="group_led")
