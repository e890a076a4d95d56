"""What is told of an occurrence, and which one is meant by a time."""

from typing import Any

import msgspec
import pytest

from rota.common.catalog import Slot
from rota.common.errors import UsageError
from rota.common.job import Job, Phase, backfill_id, job_id
from rota.common.ledger import Attempts, Entry, Missed, Outcome, Stretch
from rota.scheduler import history, why
from rota.scheduler.history import History
from rota.scheduler.schedule import due_of
from rota.scheduler.waiting import waiting
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.support.moment import HOUR, MINUTE, ms

REF = "acme/import"
DAILY = job(cron="0 2 * * *", timezone="Europe/Berlin")
NOW = ms("2026-11-23T12:00")
DUE = ms("2026-11-23T01:00")  # 02:00 in Berlin
RUN = job_id(REF, DUE)


def run(due_ms: int = DUE, **over: Any) -> Attempts:
    """Return a run that waited for 41 s."""
    fields: dict[str, Any] = {
        "job_id": job_id(REF, due_ms),
        "outcome": "succeeded",
        "due_ms": due_ms,
        "queued_ms": due_ms + 12,
        "first_ms": due_ms + 41_012,
        "claimed_ms": due_ms + 41_012,
        "ended_ms": due_ms + 2 * MINUTE,
        "attempts": 1,
        "worker": "w1",
    }
    return Attempts(**(fields | over))


def stretch(outcome: str, detail: str = "", times: int = 1, way: str = "") -> Stretch:
    """Return an entry of occurrences that were not run, the last one at `DUE`."""
    return Stretch(
        outcome=outcome,
        detail=detail,
        from_ms=DUE - (max(1, times) - 1) * 24 * HOUR,
        to_ms=DUE,
        times=times,
        noted_ms=DUE + 100,
        way=way,
    )


def known(
    *entries: Entry, current: Attempts | None = None, each: Job | None = DAILY, now_ms: int = NOW
) -> History:
    """Return what is known of a job."""
    return History(
        ref=REF, group=GROUP, job=each, now_ms=now_ms, current=current, entries=list(entries)
    )


def told(found: History, at: str = "") -> str:
    """Return what is told of a time."""
    return "\n".join(why.tell(found, why.moment(at, found.zone, found.now_ms) if at else None)[2:])


def test_succeeded() -> None:
    """Of a run one reads when and how long it waited, behind whom, who did it, how it ended."""
    text = told(known(run(ahead=12, others=30)))

    behind = "12 runs were ahead of it in the queue of acme, 30 other tenants had runs queued"
    assert text.splitlines() == [
        "2026-11-23T02:00:00+01:00  due",
        f"2026-11-23T02:00:00.012+01:00  enqueued as {RUN}; {behind}",
        "2026-11-23T02:00:41.012+01:00  claimed by w1, after it had waited 41.0s",
        "2026-11-23T02:02:00+01:00  succeeded with attempt 1, which took 1m19s",
    ]


def test_dead() -> None:
    """Of a run that failed for good one reads each error, and of which attempt the last one is."""
    errors = [("Timeout", "after 900 s"), ("ValueError", "no such customer")]
    text = told(
        known(run(outcome="dead", attempts=2, claimed_ms=DUE + MINUTE, errors=errors, replays=1))
    )
    lines = [line.strip() for line in text.splitlines()]

    assert "replayed as" in lines[1]
    assert "an attempt failed: Timeout: after 900 s" == lines[3]
    assert "claimed by w1, for attempt 2" in lines[4]
    assert "the last attempt failed: ValueError: no such customer" == lines[5]
    assert "died with attempt 2, which took 1m00s" in lines[6]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (stretch(Outcome.MISSED, Missed.DOWN), "missed: no scheduler led the group"),
        (stretch(Outcome.MISSED, Missed.STALLED, way=RUN), f"made up for by {RUN}"),
        (stretch(Outcome.BLACKOUT, "22:00..06:00 (quiet)"), "blackout: 22:00..06:00 (quiet)"),
        (stretch(Outcome.PAUSED, "by anna: migration"), "paused: by anna: migration"),
        (stretch(Outcome.SHED), "shed: too many runs of the tenant were queued"),
        (stretch(Outcome.MISSED, Missed.DOWN, 3), "as were 3 occurrences from 2026-11-21T02:00"),
        (stretch(Outcome.MISSED, Missed.DOWN, 0), "as were many occurrences"),
        (run(outcome="lost", queued_ms=0), "is lost with attempt 1"),
        (run(outcome="cancelled", first_ms=0, claimed_ms=0, attempts=0), "was cancelled"),
    ],
)
def test_outcomes(entry: Entry, expected: str) -> None:
    """Of whatever kept an occurrence from being done one reads what it was."""
    assert expected in told(known(entry), "2026-11-23T02:00")


PHASED = job(cron="0 2 * * *", phases=(Phase(handler="b"), Phase(handler="c")))


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({"outcome": "fanned", "phase": 2}, "waiting for its tasks in phase 2 of 3, b"),
        ({"outcome": "running"}, "running in phase 1 of 3, orders.import"),
        ({"outcome": "queued", "phase": 2, "mending": True}, "queued; phase 2 of 3, b, has failed"),
    ],
)
def test_phase_in_flight(over: dict[str, Any], expected: str) -> None:
    """Of a run with several phases one reads in which one it is."""
    assert expected in told(known(current=run(ended_ms=0, **over), each=PHASED))


def test_phase_that_failed() -> None:
    """Of a dead run one reads which phase failed; where there is but one, nothing of phases."""
    dead = run(outcome="dead", phase=3)

    assert "died in phase 3 of 3, c, with attempt 1" in told(known(dead, each=PHASED))
    assert "phase 3 of 3, c" == history.rows(known(dead, each=PHASED), 1)[0][-1]
    assert "phase" not in told(known(dead))
    assert "phase" not in told(known(run(), each=PHASED))


def test_in_the_way() -> None:
    """Of what was skipped one reads which run was in the way, and what became of that."""
    before = run(DUE - 24 * HOUR, ended_ms=DUE + 5 * MINUTE)
    skipped = stretch(Outcome.SKIPPED, "overlap", way=before.job_id)
    running = run(DUE - 24 * HOUR, outcome="running", ended_ms=0)

    assert f"in the way was {before.job_id}, which succeeded 2026-11-23T02:05" in told(
        known(skipped, before), "02:00"
    )
    assert f"in the way was {before.job_id}, which is running" in told(
        known(skipped, current=running), "02:00"
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("queued", "queued, for 10h59m so far"),
        ("running", "running, for 10h59m so far"),
        ("held", "held, as no worker serves its handler"),
        ("retrying", "resting until it is tried again"),
    ],
)
def test_in_flight(state: str, expected: str) -> None:
    """Of a run in flight one reads its state so far."""
    current = run(outcome=state, ended_ms=0, queued_ms=DUE + 29_000, claimed_ms=DUE + 29_000)

    assert expected in told(known(current=current))


@pytest.mark.parametrize("at", ["02:00", "2026-11-23T02:00", "2026-11-23 01:00Z", "02:00:00"])
def test_times(at: str) -> None:
    """A time is one of the job's zone, unless it names another, and as exact as it is written."""
    assert "succeeded" in told(known(run()), at)


def test_jitter() -> None:
    """A time without seconds means all that is due in that minute, one with seconds that second."""
    each = job(cron="0 2 * * *", jitter_ms=50_000)
    found = known(each=each)
    due_ms = due_of(each).last_until(NOW)
    assert due_ms is not None
    found = known(run(due_ms), each=each)

    assert "succeeded" in told(found, "02:00")
    assert "not due then" in told(found, "02:00:59")


def test_not_due() -> None:
    """Of a time at which nothing was due one reads the due times before and after."""
    assert (
        "not due then: the last due time before is 2026-11-23T02:00:00+01:00,"
        " the next is 2026-11-24T02:00:00+01:00"
    ) == told(known(run()), "03:00")


@pytest.mark.parametrize(
    ("found", "at", "expected"),
    [
        (known(), "", "nothing is known of it"),
        (known(), "02:00", "not enqueued yet: no scheduler leads group gold"),
        (known(run()), "2026-11-20T02:00", "does not hold it, or no longer"),
        (known(run()), "2026-12-20T02:00", "which is still to come"),
        (known(each=None), "02:00", "it is configured no more"),
        (known(run(), each=job(after="5m")), "06:00", "the last run before was due 2026-11-23T01"),
    ],
)
def test_nothing_known(found: History, at: str, expected: str) -> None:
    """Where the ledger holds nothing one reads why that may be."""
    assert expected in told(found, at)


def test_replayed() -> None:
    """A dead letter that was replayed is told with all of its ends, the first one first."""
    again = run(replays=1, queued_ms=DUE + HOUR, ended_ms=DUE + 2 * HOUR)
    text = told(known(again, run(outcome="dead")), "02:00")

    assert 0 < text.index("died") < text.index("replayed") < text.index("succeeded")


@pytest.mark.parametrize("at", ["x", "25:00", "2026-13-01T02:00", "02"])
def test_no_time(at: str) -> None:
    """What is no time is refused with an example of one."""
    with pytest.raises(UsageError, match="write for example 2026-11-23T02:00"):
        why.moment(at, known().zone, known().now_ms)


def test_rows() -> None:
    """A line of the history tells when, what, how often tried, how long, by whom, and why."""
    current = run(outcome="queued", ended_ms=0, first_ms=0, claimed_ms=0, attempts=0, worker="")
    shown = known(
        stretch(Outcome.MISSED, Missed.DOWN, 2, RUN),
        run(DUE - 48 * HOUR, errors=[("Timeout", "")]),
        current=current,
        now_ms=DUE + HOUR,
    )

    note = f"no scheduler led the group; made up for by {RUN}"

    assert [
        ("2026-11-23T02:00:00+01:00", "queued", None, "1h00m", None, None, ""),
        (
            *("2026-11-23T02:00:00+01:00", "missed", None, None, None, None),
            f"2 times since 2026-11-22T02:00:00+01:00: {note}",
        ),
        ("2026-11-21T02:00:00+01:00", "succeeded", "1", "41.0s", "1m19s", "w1", "Timeout"),
    ] == history.rows(shown, 9)
    assert 1 == len(history.rows(shown, 1))


def test_took() -> None:
    """What a run took is from its first start on, with all its attempts and the rests between."""
    entry = run(attempts=3, first_ms=DUE + 1_000, claimed_ms=DUE + 110_000)
    resting = run(outcome="retrying", ended_ms=0, first_ms=DUE + 1_000, claimed_ms=DUE + 110_000)

    assert "1m59s" == history.rows(known(entry), 1)[0][4]
    assert 119_000 == history.data_of(entry)["took_ms"]
    assert "59m59s" == history.rows(known(current=resting, now_ms=DUE + HOUR), 1)[0][4]
    assert "succeeded with attempt 3, which took 10.0s; the run took 1m59s" in told(known(entry))


def test_no_time_is_null() -> None:
    """For programs a time that there is not is null, in a run and in what was not run."""
    queued = run(outcome="queued", first_ms=0, claimed_ms=0, ended_ms=0, due_ms=0)
    waits = msgspec.structs.replace(stretch("waiting"), noted_ms=0)

    assert {None} == {
        history.data_of(queued)[name] for name in ("due", "first", "ended", "took_ms")
    }
    assert (None, "2026-11-23T01:00:00Z") == (
        history.data_of(waits)["noted"],
        history.data_of(waits)["to"],
    )


@pytest.mark.parametrize(
    ("took", "expected"),
    [(0, "0ms"), (999, "999ms"), (1_840, "1.8s"), (725_000, "12m05s"), (11_245_000, "3h07m")],
)
def test_span(took: int, expected: str) -> None:
    """How long something took is told in a word."""
    assert expected == history.span(took)


FLYING = job_id(REF, DUE)
SLOT = Slot(FLYING, DUE, None, None, None, DUE + 5)


@pytest.mark.parametrize(
    ("rules", "slot", "at", "expected"),
    [
        ({"overlap": "queue_all"}, SLOT, "03:00", f"waiting for {FLYING} to end"),
        ({"overlap": "queue_one"}, SLOT, "03:00", f"waiting for {FLYING} to end"),
        ({"overlap": "queue_one"}, SLOT, "04:00", "to be noted as skipped: the job's last run"),
        ({"misfire": "all"}, SLOT._replace(run=None), "03:00", "waiting for its turn to catch up"),
        ({}, SLOT._replace(run=None), "13:00", "waiting for its turn to catch up"),
        ({}, SLOT._replace(run=None), "04:00", "as missed: nobody sent it when it was due"),
        ({}, SLOT._replace(run=None), "04:00", "made up for by acme/import:20261123T120000Z"),
        (
            {"misfire": "all", "max_lateness_ms": HOUR},
            SLOT._replace(run=None),
            "03:00",
            "to be noted as late: it was later than its max_lateness",
        ),
    ],
)
def test_waiting(rules: dict[str, Any], slot: Slot, at: str, expected: str) -> None:
    """Of what is due and not told of yet one reads what it waits for, or what it comes to."""
    each = job(cron="0 * * * *", timezone="Europe/Berlin", **rules)
    found = known(each=each)
    found = msgspec.structs.replace(found, waits=waiting(each, slot, NOW))

    assert expected in told(found, at)
    assert "waiting" in {row[1] for row in history.rows(found, 20)}


def test_beside() -> None:
    """With `allow` a run is found by its due time, though it is not the last one of its job."""
    each = job(cron="0 * * * *", timezone="Europe/Berlin", overlap="allow")
    found = known(each=each)
    run_id = why.run_at(found, why.moment("02:00", found.zone, found.now_ms))
    assert run_id is not None
    flying = run(outcome="running", job_id=run_id, ended_ms=0)
    found = msgspec.structs.replace(found, beside=[flying])

    assert RUN == run_id
    assert "running" in told(found, "02:00")
    assert why.run_at(known(), why.moment("02:00", found.zone, found.now_ms)) is None


@pytest.mark.parametrize("detail", ["max_lateness", "max_catch_up"])
def test_late(detail: str) -> None:
    """Of what was too late one reads which bound it was beyond."""
    assert f"its {detail}" in told(known(stretch("late", detail)), "02:00")


def test_backfill() -> None:
    """What a backfill ran is told behind what had become of the occurrence, and marked in both."""
    again = run(
        job_id=backfill_id(REF, 7, DUE),
        queued_ms=NOW,
        first_ms=NOW + 5,
        claimed_ms=NOW + 5,
        ended_ms=NOW + MINUTE,
    )
    found = known(again, stretch("skipped"), now_ms=NOW + HOUR)
    lines = why.tell(found, why.moment("02:00", found.zone, found.now_ms))
    notes = [row[-1] for row in history.rows(found, 9)]

    assert "skipped: the job's last run was not over" in lines[3]
    assert f"13:00:00+01:00  backfilled as acme/import:backfill-7-{RUN[-16:]}" in lines[5]
    assert ["backfill", "the job's last run was not over"] == notes


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ({}, "phase 3, c, attempt 2"),
        ({"outcome": "dead", "phase": 2}, "phase 2, b, attempt 2"),
        ({"outcome": "dead"}, "attempt 2"),  # of which phase is not known
        ({"outcome": "running", "ended_ms": 0, "phase": 2}, "phase 2, b, attempt 2"),
        ({"outcome": "running", "ended_ms": 0}, "phase 1, orders.import, attempt 2"),
        ({"outcome": "queued", "ended_ms": 0, "phase": 2, "attempts": 0}, "an earlier phase"),
    ],
)
def test_phase_of_a_claim(over: dict[str, Any], expected: str) -> None:
    """Of the last claim one reads for which phase it was."""
    entry = run(**{"attempts": 2, "claimed_ms": DUE + MINUTE, "ended_ms": DUE + 2 * MINUTE} | over)

    assert f"claimed by w1, for {expected}\n" in told(known(entry, each=PHASED)) + "\n"


def test_claim_for_the_failure_handler() -> None:
    """The last claim of a dead run that has one was for it: its time is not the attempt's."""
    each = job(cron="0 2 * * *", on_failure=Phase(handler="mend"))
    entry = run(outcome="dead", attempts=3, claimed_ms=DUE + MINUTE)
    text = told(known(entry, each=each))

    assert "claimed by w1, for on_failure, mend\n" in text
    assert "died with attempt 3; the run took " in text
