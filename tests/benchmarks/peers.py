"""No-op jobs of one worker process: Rota, its peers and a bare loop, in interleaved rounds.

Every race has a server of its own with the same settings. All jobs wait when the worker starts;
what is counted begins behind the first tenth. Each job must run exactly once, or the command fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks import environment, page, race
from tests.benchmarks.contenders import CONTENDERS, Contender
from tests.benchmarks.race import Result

Results = dict[Contender, list[Result]]


def main() -> None:
    """Run what the command line asks for; exit 1 if a job was lost or ran twice."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("name", nargs="*", help="some of them; else all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="about, of each race")
    parser.add_argument("--plot", type=Path, help="write the bars to this SVG file")
    given = parser.parse_args()
    known = {each.name: each for each in CONTENDERS}
    if unknown := set(given.name) - known.keys():
        parser.error(f"no such contender: {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.name] or list(CONTENDERS)
    results = measure(_present(chosen), given.rounds, given.seconds)
    print(f"{page.machine()}\n\n{report(results)}")
    if given.plot:
        given.plot.write_text(plot(results))
    sys.exit(any(result.wrong for each in results.values() for result in each))


def measure(contenders: list[Contender], rounds: int, seconds: float) -> Results:
    """Race everybody once in each round. Who fails is told, and out."""
    results: Results = {each: [] for each in contenders}
    for number in range(1, rounds + 1):
        for each in list(results):
            pace = median([result.rate for result in results[each]] or [each.pace])
            try:
                with tempfile.TemporaryDirectory(prefix="rota-bench-") as folder:
                    result = race.run(each, max(200, int(pace * seconds)), Path(folder))
            except RuntimeError as error:
                print(f"{each.name} is out: {error}", file=sys.stderr, flush=True)
                del results[each]
                continue
            results[each].append(result)
            told = f"round {number}: {each.name} {result.rate:,.0f} jobs/s {result.wrong}"
            print(told, file=sys.stderr, flush=True)
    return results


def report(results: Results) -> str:
    """Return the table, the fastest first, with ratios to Rota as it is by default."""
    rows = []
    rota = next((_rate(found) for each, found in results.items() if each.name == "rota"), 0.0)
    for each, found in _ranked(results):
        wrong = next((result.wrong for result in found if result.wrong), "")
        rows.append(
            (
                each.name,
                environment.version(each),
                page.spread([result.rate for result in found]),
                page.spread([result.worker_us for result in found]),
                page.spread([result.store_us for result in found]),
                f"{rota / _rate(found):.2f}" if rota else "",
                wrong or f"{found[-1].jobs:,} jobs, each once",
            )
        )
    head = ("", "version", "jobs/s", "worker us/job", "Redis us/job", "rota : it", "check")
    return page.table(head, rows)


def plot(results: Results) -> str:
    """Return the rates as bars."""
    return page.bars(
        "no-op jobs a second, one worker process",
        [(each.name, _rate(found)) for each, found in _ranked(results)],
    )


def _present(contenders: list[Contender]) -> list[Contender]:
    present = []
    for each in contenders:
        if reason := environment.why_not(each):
            print(f"{each.name} is skipped: {reason}", file=sys.stderr, flush=True)
        else:
            present.append(each)
    return present


def _rate(found: list[Result]) -> float:
    return median(result.rate for result in found)


def _ranked(results: Results) -> list[tuple[Contender, list[Result]]]:
    return sorted(results.items(), key=lambda item: -_rate(item[1]))
