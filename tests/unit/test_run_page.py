"""What is shown of one run: its state, a bar with rate and rest, whether it stalls, its units."""

from typing import Any

import msgspec
import pytest

from rota.common.fan_out import Counts
from rota.common.ledger import Attempts
from rota.common.progress import Mark, Skip, Sum, Tally
from rota.scheduler import live_run, run_page
from rota.scheduler.live_run import LiveRun
from rota.scheduler.screen import Journal, Screen
from tests.support.moment import MINUTE, ms

NOW = ms("2026-11-23T12:00")
RUN = "acme/bill:20261123T115800Z"
HALF = Mark(done=500, total=1_000, base=100, took_ms=40_000)  # 10 a second
TALLY = Tally(items=498, skipped=2, units=5, took_ms=50_000, longest_ms=12_000, position=500)


def run(
    mark: Mark | None = HALF,
    tallies: tuple[Tally, ...] = (),
    *,
    silent_ms: int = 1_000,
    attempts: int = 1,
    **over: Any,
) -> LiveRun:
    """Return a run that has run for two minutes."""
    fields: dict[str, Any] = {"outcome": "running", "due_ms": NOW - 2 * MINUTE, "ended_ms": 0}
    fields |= {"claimed_ms": NOW - 2 * MINUTE, "attempts": attempts, "worker": "w1"}
    return LiveRun(
        job_id=RUN,
        group="gold",
        entry=Attempts(job_id=RUN, **(fields | over)),
        attempts=3,
        mark=mark,
        tallies=list(tallies),
        noted_ms=NOW - silent_ms,
        now_ms=NOW,
    )


def test_bar() -> None:
    """A run tells what is done of what, at which rate, and how long the rest takes from now on."""
    head, bar = run_page.lines(run())

    assert f"{RUN}  running, attempt 1 of 3, 2m00s, by w1" == head
    assert f"  [{'#' * 15}{'.' * 15}]  50%  500 of 1,000  10/s  49.0s left" == bar


def test_tasks() -> None:
    """A run that waits for its tasks has a bar of those, with rate and rest; it tells the dead."""
    tasks = Counts(phase=2, planned=80, succeeded=58, dead=2, cancelled=0, whole=True)
    told = run(None, outcome="fanned")
    told = msgspec.structs.replace(told, tasks=tasks, phase="phase 2 of 3, orders.plan")
    head, bar = run_page.lines(told)

    assert f"{RUN}  fanned, attempt 1 of 3, 2m00s, by w1, phase 2 of 3, orders.plan" == head
    assert f"  [{'#' * 22}{'.' * 8}]  75%  60 of 80 tasks  2 dead  0.5/s  40.0s left" == bar


def test_tasks_that_are_being_planned() -> None:
    """While planning goes on nobody knows of how many these are a part."""
    tasks = Counts(phase=1, planned=1_500, succeeded=3, dead=0, cancelled=0, whole=False)

    assert "1,500 tasks planned so far, 3 over" == run_page.tasks(
        msgspec.structs.replace(run(None), tasks=tasks)
    )


def test_phase_and_no_total() -> None:
    """A phase is named; without a total there is no bar, and no rest."""
    mark = Mark(done=1_500, phase="fetch", base=0, took_ms=1_000_000)

    assert "fetch: 1,500  1.5/s" == run_page.bar(run(mark))


def test_first_mark() -> None:
    """With one mark no rate is known yet."""
    assert run_page.bar(run(Mark(done=0, total=10))).endswith("0%  0 of 10")


@pytest.mark.parametrize(
    ("mark", "tallies", "silent_ms", "stalled"),
    [
        (HALF, (), 29_000, False),
        (HALF, (), 31_000, True),
        (Mark(done=500, total=100_000, took_ms=50_000), (), 1_400_000, False),
        (Mark(done=500, total=100_000, took_ms=50_000), (), 1_600_000, True),
        (HALF, (TALLY,), 29_000, False),
        (HALF, (TALLY,), 31_000, True),
        (Mark(done=1, total=10), (), 59_000, False),
        (Mark(done=1, total=10), (), 61_000, True),
        (None, (), 10_000_000, False),
    ],
)
def test_stall(
    mark: Mark | None, tallies: tuple[Tally, ...], silent_ms: int, stalled: bool
) -> None:
    """What is silent for three times as long as a step should take, and for 30 s, has stalled."""
    shown = run(mark, tallies, silent_ms=silent_ms, claimed_ms=1)

    assert stalled == shown.stalled == ("stalled: nothing for" in run_page.bar(shown))
    assert stalled == ("running, stalled" in run_page.head(shown))
    assert not stalled or shown.rest_s is None


def test_a_new_attempt_is_no_stall() -> None:
    """What the last attempt told long ago is no silence of this one, and is said to be old."""
    shown = run(silent_ms=10 * MINUTE, attempts=2, claimed_ms=NOW - 5_000)

    assert not shown.stalled
    assert run_page.bar(shown).endswith("as attempt 1 told")


def test_units() -> None:
    """Units are summed up; what was skipped is told one by one, as far as it is kept."""
    skips = [Skip(position=7, kind="ValueError", message="no such\ncustomer")]
    tally = msgspec.structs.replace(TALLY, name="create", failed=7, skips=skips, total=1_000)
    told = run_page.lines(run(None, (tally,)))[1:]

    summed = "498 items in 5 units, 2 skipped, 7 rollbacks; 50.0s of work, the longest 12.0s"
    assert f"  create: {summed}" == told[0]
    assert ["  skipped, position 7: ValueError: no such?customer"] == told[1:2]
    assert "  and 1 more, after the first 20" == told[2]


def test_units_know_better() -> None:
    """Of units the bar shows the last checkpoint, which is newer than the last mark."""
    tally = msgspec.structs.replace(TALLY, position=600)

    assert "60%  600 of 1,000" in run_page.bar(run(HALF, (tally,)))
    assert 39 == run(HALF, (tally,)).rest_s


def test_over() -> None:
    """Of a run that is over the ledger's sums are left, and how long it took."""
    total = Sum(items=5, units=1)
    shown = run(None, outcome="succeeded", ended_ms=NOW - MINUTE, units=[total])
    lines = run_page.lines(shown)

    assert f"{RUN}  succeeded, attempt 1 of 3, 1m00s, by w1" == lines[0]
    assert lines[1].startswith("  5 items in 1 unit;")
    assert shown.over
    assert not shown.stalled


def test_nothing_told() -> None:
    """A handler that tells nothing is said to do so, and why attempts failed is told."""
    assert run_page.lines(run(None))[1:] == ["  its handler tells no progress"]
    failed = run(None, errors=[("OSError", "gone")])

    assert ["  failed: OSError: gone"] == run_page.lines(failed)[1:]


def test_data() -> None:
    """For programs there is the same, with null for what is not known."""
    data = live_run.as_data(run(HALF, (TALLY,)))
    bare = live_run.as_data(run(None))

    assert (500, 1_000, 10.0, 49.0, False) == tuple(
        data["progress"][name] for name in ("done", "total", "rate", "rest_s", "stalled")
    )
    assert (498, 500, []) == tuple(
        data["units"][0][name] for name in ("items", "position", "skips")
    )
    assert (None, [], 3) == (bare["progress"], bare["units"], bare["of"])
    assert msgspec.json.encode(data)


def test_lines_when_something_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal a line is written when something changes, not as time passes."""
    screen = Screen(live=False)
    for silent_ms in (1_000, 2_000, 40_000, 41_000):
        screen.draw(run(silent_ms=silent_ms))
    screen.draw(run(outcome="succeeded", ended_ms=NOW))
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("acme")]

    assert ["running", "running, stalled", "succeeded"] == [
        line.partition("  ")[2].partition(", attempt")[0] for line in heads
    ]


def test_drawn_in_place(capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal what was drawn is drawn over, and no line wraps."""
    screen = Screen(live=True)
    screen.draw(run(worker="w" * 500))
    screen.draw(run())
    first, second = capsys.readouterr().out.split("\x1b[2F\x1b[J")

    assert 2 == first.count("\n") == second.count("\n")
    assert max(map(len, first.splitlines())) < 500


def test_journal(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """For programs a line of JSON is written when something changes."""
    journal = Journal()
    for silent_ms in (1_000, 2_000, 40_000):
        journal.draw(run(silent_ms=silent_ms))
    told = [msgspec.json.decode(line) for line in capfdbinary.readouterr().out.splitlines()]

    assert [False, True] == [each["progress"]["stalled"] for each in told]


def test_whole_time() -> None:
    """The time of a run is that of all its attempts and phases."""
    (head, *_) = run_page.lines(run(None, first_ms=NOW - 5 * MINUTE))

    assert f"{RUN}  running, attempt 1 of 3, 5m00s, by w1" == head
