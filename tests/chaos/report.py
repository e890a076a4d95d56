"""Carries out scenarios and prints what came of them."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from rota.common.errors import RotaError
from tests.chaos import checker, driver, history
from tests.chaos.checker import Verdict
from tests.chaos.driver import Plan

_HEADINGS = (
    *("SCENARIO", "SEED", "FAULTS", "ENQUEUED", "RUNS", "RE-RUNS", "LOST", "WIPED", "OVERLAPS"),
    *("LONGEST ms", "FENCE", "RECOVERY s", "VERDICT"),
)


class Row(NamedTuple):
    """What came of one scenario."""

    scenario: str
    seed: int
    verdict: Verdict | None  # None: it could not be carried out

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts."""
        v = self.verdict
        if v is None:
            return (self.scenario, str(self.seed), *["-"] * (len(_HEADINGS) - 3), "NOT RUN")
        faults = ", ".join(f"{n} {kind}" for kind, n in sorted(v.faults.items()))
        recovery = ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in v.recovery.items())
        counts = (v.enqueued, v.runs, v.reruns, v.lost, v.wiped, v.overlaps)
        last = (f"{v.longest_overlap_ms:.0f}", str(v.fence_violations), recovery or "-")
        verdict = "ok" if v.ok else ", ".join(v.violations)
        return (self.scenario, str(self.seed), faults, *map(str, counts), *last, verdict)


def carry_out(plan: Plan, *, keep: bool = False) -> Row:
    """Drive one scenario and check it. Its folder is kept, and named, if a promise was broken."""
    name = plan.scenario.name
    print(f"{name}: seed {plan.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix=f"rota-chaos-{name}-"))
    verdict, kept = None, True
    try:
        asyncio.run(driver.drive(plan, folder))
        verdict = checker.check(history.load(folder), plan.scenario.limits(plan.lease))
        kept = keep or not verdict.ok
    except (RotaError, AssertionError) as error:
        print(f"{name}: can't be carried out: {error}")
    except KeyboardInterrupt:
        kept = False
        raise
    finally:
        if verdict and verdict.usage:
            print(f"{name}: {verdict.usage}")
        for complaint in verdict.complaints() if verdict else []:
            print(f"{name}: {complaint}")
        if kept:
            print(f"{name}: audit, driver's log and the services' logs are in {folder}")
        else:
            shutil.rmtree(folder)
    return Row(name, plan.seed, verdict)


def print_table(rows: list[Row]) -> None:
    """Print the rows under their headings."""
    table = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for cells in table:
        print("  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip())
