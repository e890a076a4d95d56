"""What is wrong with a ledger: occurrences without an outcome, or with two."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rota.common import keys, ledger
from rota.common.job import Job, job_id
from rota.common.ledger import Attempts, Entry, Stretch
from rota.common.message import Completion
from rota.scheduler.schedule import due_of
from tests.support.builders import GROUP


def holes(each: Job, entries: Sequence[Entry], flying: set[str], after_ms: int) -> list[str]:
    """Return what is wrong with the outcomes of all that was due after `after_ms`."""
    found: dict[int, list[str]] = {}
    due = due_of(each)
    last_ms = after_ms
    for entry in entries:
        if isinstance(entry, Attempts):
            found.setdefault(entry.due_ms, []).append(entry.outcome)
        moments = [] if isinstance(entry, Attempts) else _moments(each, entry)
        for moment in moments:
            found.setdefault(moment, []).append(entry.outcome)
        last_ms = max(last_ms, entry.at_ms)
    due_ms = due.next_after(after_ms)
    wrong: list[str] = []
    while due_ms is not None and due_ms <= last_ms:
        outcomes = found.pop(due_ms, [])
        outcomes += ["in flight"] * (job_id(each.ref, due_ms) in flying)
        if len(outcomes) != 1:
            wrong.append(f"{due_ms}: {outcomes}")
        due_ms = due.next_after(due_ms)
    # A scheduler that was slow to start has missed some before those that are asked for.
    late = [ms for ms in found if ms > after_ms or due.next_after(ms - 1) != ms]
    return wrong + [f"{ms} was not due: {found[ms]}" for ms in late]


def _moments(each: Job, entry: Stretch) -> list[int]:
    due = due_of(each)
    moments = [entry.from_ms]
    while moments[-1] < entry.to_ms:
        following = due.next_after(moments[-1])
        assert following is not None
        moments.append(following)
    assert entry.times in (0, len(moments))
    return moments


def entries(space: dict[str, Any], tenant: str) -> dict[str, list[Entry]]:
    """Return what is kept of each job of a tenant, of all that a store holds."""
    prefix = keys.ledger(GROUP, "")
    rows = {
        name.removeprefix(prefix): v for name, (_, v) in space.items() if name.startswith(prefix)
    }
    return {
        ref: ledger.entries(ref, found)
        for ref, found in rows.items()
        if ref.startswith(f"{tenant}/")
    }


def ends(found: Sequence[Entry], told: Iterable[Completion]) -> Iterator[str]:
    """Find runs that have ended and have not one entry that says how, and entries of others."""
    noted = Counter((e.job_id, e.outcome) for e in found if isinstance(e, Attempts))
    ended = Counter((each.job_id, str(each.outcome)) for each in told if each.outcome != "retrying")
    for run_id, outcome in sorted(noted.keys() | ended.keys()):
        if noted[run_id, outcome] != ended[run_id, outcome]:
            yield (
                f"{run_id} {outcome} {ended[run_id, outcome]} times,"
                f" noted {noted[run_id, outcome]} times"
            )
