"""`overlap` and `misfire`: what becomes of each occurrence, held against a reckoning one by one."""

from typing import Any, get_args

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rota.common.job import Blackout, Job, Misfire, Overlap, job_id
from rota.common.ledger import Note, Outcome
from rota.scheduler import policy
from rota.scheduler.calendar import spans
from rota.scheduler.finding import Ground
from rota.scheduler.line import Line, Turn, merged
from rota.scheduler.policy import ON_TIME_MS
from rota.scheduler.schedule import due_of
from rota.scheduler.withheld import NEVER_MS, Withheld
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms
from tests.support.reckoning import Past, Seen, due_times, reckoned

NOW = ms("2026-11-23T12:00")
WAY = "acme/import:20261123T000000Z"
SCHEDULES: list[dict[str, Any]] = [
    {"every": "10m", "phase_ms": 0},
    {"every": "1m", "phase_ms": 7_000},
    {"cron": "*/7 * * * *"},
    {"cron": "0,30 * * * *", "timezone": "Europe/Berlin"},
    {"every": "10m", "phase_ms": 0, "blackouts": (Blackout(between="11:10..11:40"),)},
]


ago = st.integers(0, 3 * HOUR)
pasts = st.builds(Past, ago, st.one_of(st.just(0), ago), st.one_of(st.none(), ago))
jobs = st.builds(
    lambda when, **rules: job(**when, **rules),
    st.sampled_from(SCHEDULES),
    overlap=st.sampled_from(get_args(Overlap)),
    misfire=st.sampled_from(get_args(Misfire)),
    max_catch_up=st.sampled_from([1, 2, 5, 100]),
    max_lateness_ms=st.sampled_from([0, 25 * MINUTE, 2 * HOUR]),
)


def ground(each: Job, past: Past) -> Ground:
    """Return on what it depends what is found."""
    busy_ms = NOW - past.busy if past.busy else 0
    ended_ms: int | None = 0
    if busy_ms:
        ended_ms = None if past.ended is None else NOW - past.ended
    return Ground(each, due_of(each), WAY, busy_ms, ended_ms, NOW - HOUR)


def played(each: Job, line: Line) -> Seen:
    """Let the whole line go, each run when the one before it is over, all of it now."""
    due, seen, last = due_of(each), Seen({}, {}), 0
    line = policy.settled(each, due, line, NOW)
    while line:
        notes, line = policy.notes(each, line)
        for note in notes:
            assert last < note.from_ms
            last = note.to_ms
            _take(each, note, seen)
        if not line:
            break
        head = line[0]
        if isinstance(head, Turn):
            assert last < head.due_ms
            last = head.due_ms
            assert head.due_ms not in seen.outcomes
            seen.outcomes[head.due_ms], seen.missed[head.due_ms] = "run", head.missed
            line = line[1:]
        else:
            coming = policy.next_run(each, line)
            line = policy.released(each, due, line, NOW)
            turn = next(item for item in line if isinstance(item, Turn))
            assert turn.late == (coming is not None and coming < NOW - ON_TIME_MS)
            assert coming in (None, turn.due_ms)
        line = policy.settled(each, due, line, NOW)
    return seen


def _take(each: Job, note: Note, seen: Seen) -> None:
    times = 0
    moment: int | None = note.from_ms
    while moment is not None and moment <= note.to_ms:
        assert moment not in seen.outcomes
        seen.outcomes[moment] = note.outcome
        moment, times = due_of(each).next_after(moment), times + 1
    assert times == note.times


@given(jobs, pasts)
@settings(max_examples=600, deadline=None)
@example(job(every="10m", phase_ms=0, overlap="queue_all"), Past(3 * HOUR, 2 * HOUR, HOUR))
def test_every_pair(each: Job, past: Past) -> None:
    """Each occurrence has the one outcome that both policies give it, and runs are in order."""
    found = ground(each, past).find(spans(each, NOW - past.until, NOW))

    assert reckoned(each, past, NOW) == played(each, merged(found))


@given(jobs.filter(lambda each: not each.max_lateness_ms), pasts, st.lists(ago, max_size=5))
@settings(max_examples=300, deadline=None)
def test_at_once_or_in_steps(each: Job, past: Past, looks: list[int]) -> None:
    """Who looked often comes to the same as who looks once, such as the next leader."""
    due, here = due_of(each), ground(each, past)
    line: Line = []
    seen_ms = NOW - past.until
    for moment in sorted({NOW - look for look in looks} | {NOW}):
        if moment > seen_ms:
            line = merged([*line, *here.find(spans(each, seen_ms, moment))])
            line = policy.settled(each, due, line, moment)
            seen_ms = moment

    assert reckoned(each, past, NOW) == played(each, line)


def test_bounds_of_what_a_run_is_told() -> None:
    """A run is told of the last 1,000 that it makes up for, however many those are."""
    each = job(every="100ms")
    found = ground(each, Past(0, 0, None)).find(spans(each, NOW - 90 * 24 * HOUR, NOW))
    line = policy.released(each, due_of(each), merged(found), NOW)
    turn = next(item for item in line if isinstance(item, Turn))

    assert 1_000 == len(turn.missed)
    assert list(turn.missed) == due_times(each, turn.missed[0] - 1, turn.due_ms - 1)
    assert {job_id(each.ref, turn.due_ms)} == {n.way for n in policy.notes(each, line)[0]}


def test_withheld() -> None:
    """What is withheld for other reasons has that outcome, whatever the policies say."""
    each = job(every="10m", phase_ms=0, misfire="all")

    def withhold(_: Job, due_ms: int) -> Withheld | None:
        paused = Withheld(Outcome.PAUSED, "by ann", NOW - HOUR, NEVER_MS)
        return paused if due_ms >= NOW - HOUR else None

    found = ground(each, Past(0, 0, None)).find(spans(each, NOW - 2 * HOUR, NOW, withhold))
    seen = played(each, merged(found))

    assert ["run"] * 5 + ["paused"] * 7 == list(seen.outcomes.values())
