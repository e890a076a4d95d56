"""The offline checker: a history in, figures and violations out."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos import invariants, throttle
from tests.chaos.history import History
from tests.chaos.invariants import CANCEL_TICK
from tests.chaos.recovery import Recovery, recoveries
from tests.chaos.throttle import Usage

_SHOWN = 8  # findings of one kind that are told in full


class Limits(NamedTuple):
    """How long a recovery may take, seconds."""

    worker: float
    sched: float
    store: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the checker found."""

    faults: dict[str, int]  # by kind
    enqueued: int  # runs of which it is known that they were accepted
    runs: int  # runs that began
    reruns: int  # runs that began more than once
    lost: int
    wiped: int  # runs that went with the store's data, where the fault takes these
    overlaps: int  # longer than a cancel tick
    longest_overlap_ms: float  # the shorter ones included
    fence_violations: int
    longest_recovery: Recovery | None
    usage: Usage | None = None  # of limits, if there were any
    recovery: dict[str, float] = field(default_factory=dict)  # the longest of each kind, seconds
    violations: dict[str, list[str]] = field(default_factory=dict)  # by promise

    @property
    def ok(self) -> bool:
        """Tell whether every promise was kept."""
        return not self.violations

    def complaints(self) -> list[str]:
        """Return the violations for people, not more than a few of each kind."""
        lines = []
        for promise, found in self.violations.items():
            lines += [f"{promise}: {each}" for each in found[:_SHOWN]]
            lines += [f"{promise}: and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return lines


def check(history: History, limits: Limits) -> Verdict:
    """Hold a history against every promise."""
    fate = invariants.fate(history)
    overlaps = invariants.overlaps(history)
    long = [overlap for overlap in overlaps if overlap.seconds > CANCEL_TICK]
    fences = invariants.fences(history)
    recovered = recoveries(history)
    slow = [each for each in recovered if each.seconds > getattr(limits, each.kind)]
    capped = throttle.excesses(history)
    found = {
        "lost": fate.lost,
        "overlap": [
            f"{o.seconds * 1000:.0f} ms: {o.earlier.job_id} fence {o.earlier.fence} of pid "
            f"{o.earlier.owner} and {o.later.job_id} fence {o.later.fence} of pid {o.later.owner}"
            for o in long
        ],
        "doubled": invariants.doubled(history),
        "stale completion": invariants.stale(history),
        "fence": fences,
        "interval": invariants.intervals(history),
        "slow recovery": [f"{r.kind} {r.what}: {r.seconds:.1f} s from {r.at:.3f}" for r in slow],
        "wedged": invariants.wedged(history),
        "deaf": invariants.deaf(history),
        "exceeded": [str(each) for each in capped] + throttle.exceeded(history),
        "not used again": throttle.unused(history),
        "left behind": invariants.drained(history),
        "ledger": invariants.noted(history),
        "casualty": invariants.casualties(history),
    }
    longest: dict[str, float] = {}
    for each in recovered:
        longest[each.kind] = max(each.seconds, longest.get(each.kind, 0.0))
    faults: dict[str, int] = {}
    for line in history.of("fault"):
        faults[line["kind"]] = faults.get(line["kind"], 0) + 1
    return Verdict(
        faults=faults,
        enqueued=len(history.by_run.keys() | {line["job_id"] for line in history.of("accepted")}),
        runs=len(history.by_run),
        reruns=len(invariants.restarted(history)),
        lost=len(fate.lost),
        wiped=len(fate.wiped),
        overlaps=len(long),
        longest_overlap_ms=max((o.seconds for o in overlaps), default=0.0) * 1000,
        fence_violations=len(fences),
        longest_recovery=max(recovered, key=lambda r: r.seconds, default=None),
        usage=throttle.usage(history),
        recovery=longest,
        violations={promise: some for promise, some in found.items() if some},
    )
