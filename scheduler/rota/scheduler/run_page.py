"""One run for people: a line on its state, a bar, what its units have come to."""

from rota.common.progress import MOST_SKIPS, Mark, Sum, Tally
from rota.scheduler.history import reason, span, summary
from rota.scheduler.live_run import LiveRun
from rota.scheduler.output import counted, printable

_BAR = 30  # characters
_WHOLE = 10  # a second, from which on a rate is told in whole numbers


def lines(run: LiveRun) -> list[str]:
    """Return all that is to be told of a run."""
    told = [head(run)]
    told += [f"  {each}" for each in (tasks(run), bar(run)) if each]
    told += [f"  {_sum(each)}" for each in run.sums]
    told += [line for tally in run.tallies for line in _skips(tally)]
    told += [f"  failed: {': '.join(filter(None, error))}" for error in run.entry.errors]
    if len(told) == 1 and run.entry.outcome == "running":
        told.append("  its handler tells no progress")
    return [printable(line) for line in told]


def head(run: LiveRun) -> str:
    """Return the run's state, in one line."""
    entry = run.entry
    parts = [entry.outcome + ("" if run.over or not run.stalled else ", stalled")]
    if entry.attempts:
        of = f" of {run.attempts}" if run.attempts else ""
        parts.append(f"attempt {entry.attempts}{of}")
    began_ms = entry.first_ms or entry.claimed_ms
    if began_ms and entry.outcome not in ("queued", "held", "retrying"):
        parts.append(span(max(0, (entry.ended_ms or run.now_ms) - began_ms)))
    parts += [f"by {entry.worker}"] if entry.worker else []
    parts += [run.phase] if run.phase else []
    parts += [reason(entry)] if reason(entry) else []
    return f"{run.job_id}  {', '.join(parts)}"


def bar(run: LiveRun) -> str:
    """Return how far a run is, in one line; empty if its handler has told nothing."""
    mark = run.mark
    if mark is None:
        return ""
    parts = [f"{mark.phase}:"] if mark.phase else []
    if mark.total:
        parts.append(f"{_drawn(run.done, mark.total)} {run.done:,} of {mark.total:,}")
    else:
        parts.append(f"{run.done:,}")
    return " ".join(parts) + "".join(f"  {part}" for part in _pace(run, mark))


def tasks(run: LiveRun) -> str:
    """Return how far the tasks of a run are, in one line; empty if it has none."""
    found = run.tasks
    if found is None or not found.planned:
        return ""
    if not found.whole:
        return f"{found.planned:,} tasks planned so far, {found.over:,} over"
    parts = [f"{_drawn(found.over, found.planned)} {found.over:,} of {found.planned:,} tasks"]
    parts += [f"{found.dead:,} dead"] if found.dead else []
    if run.task_rate and found.over < found.planned:
        rest_ms = 1000 * (found.planned - found.over) / run.task_rate
        parts += [f"{rate(run.task_rate)}/s", f"{span(round(rest_ms))} left"]
    return "  ".join(parts)


def _drawn(done: int, total: int) -> str:
    """Return a bar, and the percentage."""
    share = min(1.0, done / total)
    filled = int(share * _BAR)
    return f"[{'#' * filled}{'.' * (_BAR - filled)}] {int(share * 100):>3}% "


def _pace(run: LiveRun, mark: Mark) -> list[str]:
    parts = [f"{rate(mark.rate)}/s"] if mark.rate > 0 else []
    if run.stalled:
        parts.append(f"stalled: nothing for {span(run.silent_ms)}")
    elif run.rest_s is not None and run.done < mark.total:
        parts.append(f"{span(round(run.rest_s * 1000))} left")
    if run.entry.attempts and mark.attempt != run.entry.attempts:
        parts.append(f"as attempt {mark.attempt} told")
    return parts


def rate(per_second: float) -> str:
    """Return a rate in at least two digits."""
    return f"{per_second:,.0f}" if per_second >= _WHOLE else f"{per_second:.2g}"


def _sum(each: Sum) -> str:
    name = f"{each.name}: " if each.name else ""
    failed = f", {counted(each.failed, 'rollback')}" if each.failed else ""
    times = f"{span(each.took_ms)} of work, the longest {span(each.longest_ms)}"
    return f"{name}{summary(each)}{failed}; {times}"


def _skips(tally: Tally) -> list[str]:
    told = [
        f"  skipped, position {skip.position}: {skip.kind}: {skip.message}" for skip in tally.skips
    ]
    more = tally.skipped - len(tally.skips)
    return told + ([f"  and {more} more, after the first {MOST_SKIPS}"] if more > 0 else [])
