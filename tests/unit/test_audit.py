"""The checker of the system tests finds what it is there to find."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from rota.common.message import JobRequest
from rota.common.run import Claimed
from rota.worker import Context
from tests.support import audit
from tests.support.audit import Audit

JOB = "acme/import"


def line(event: str, run: int, at: float, fence: int = 0, **over: Any) -> dict[str, Any]:
    """Return one line about the run of the occurrence number `run`."""
    fields = {"event": event, "job": JOB, "job_id": f"{JOB}:{run}", "attempt": 1, "pid": 10}
    outcome = {"outcome": "done"} if event == "end" else {}
    return fields | {"fence": fence or run, "at": at} | outcome | over


def reading(folder: Path, *lines: dict[str, Any], deaths: dict[int, float] | None = None) -> Audit:
    """Return the reading of a file with these lines."""
    path = folder / "audit"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return Audit(path, deaths)


def test_runs_in_turn_are_in_order(tmp_path: Path) -> None:
    """Runs one after another overlap nowhere, are each done once, and none is started again."""
    found = reading(
        tmp_path,
        line("start", 1, 1.0),
        line("end", 1, 2.0),
        line("start", 2, 2.0),
        line("end", 2, 3.5),
        line("start", 3, 4.0),
    )

    assert [] == found.overlaps()
    assert {f"{JOB}:1": 1, f"{JOB}:2": 1, f"{JOB}:3": 0} == found.done()
    assert set() == found.again()
    assert [1.0, 2.0] == found.between_starts(JOB)
    assert {10: 3} == found.pids()


def test_overlap_of_two_runs_is_found(tmp_path: Path) -> None:
    """Two runs of one job at the same time are an overlap, whichever ends first."""
    found = reading(
        tmp_path,
        line("start", 1, 1.0),
        line("start", 2, 1.5, pid=11),
        line("end", 2, 1.7, pid=11),
        line("end", 1, 2.0),
    )

    assert [(f"{JOB}:1", f"{JOB}:2")] == [(a.job_id, b.job_id) for a, b in found.overlaps()]


def test_overlap_with_a_long_run_is_found(tmp_path: Path) -> None:
    """A run overlaps not only its neighbour: all that start before its end are found."""
    found = reading(
        tmp_path,
        *(line("start", 1, 1.0), line("start", 2, 2.0), line("end", 2, 2.5)),
        *(line("start", 3, 3.0), line("end", 3, 3.5), line("end", 1, 4.0)),
    )

    assert 2 == len(found.overlaps())


def test_overlap_of_two_attempts_is_found(tmp_path: Path) -> None:
    """Two attempts of one run at the same time are an overlap; so is a fence that falls."""
    found = reading(
        tmp_path,
        line("start", 1, 1.0, fence=9),
        line("start", 1, 1.5, fence=8, attempt=2),
        line("end", 1, 2.0, fence=8, attempt=2),
        line("end", 1, 3.0, fence=9),
    )

    assert 1 == len(found.overlaps())
    assert 1 == len(found.unfenced())
    assert {f"{JOB}:1"} == found.again()
    assert {f"{JOB}:1": 2} == found.done()


def test_other_jobs_do_not_overlap(tmp_path: Path) -> None:
    """Different jobs may run at the same time."""
    found = reading(
        tmp_path,
        line("start", 1, 1.0),
        line("start", 2, 1.5, job="acme/export"),
        line("end", 1, 2.0),
    )

    assert [] == found.overlaps()


def test_what_never_ended_runs_until_its_process_dies(tmp_path: Path) -> None:
    """A run without an end overlaps all that follows, unless its process died before."""
    lines = (line("start", 1, 1.0), line("start", 1, 5.0, fence=2, attempt=2, pid=11))

    assert 1 == len(reading(tmp_path, *lines).overlaps())
    assert 1 == len(reading(tmp_path, *lines, deaths={11: 2.0}).overlaps())
    assert 1 == len(reading(tmp_path, *lines, deaths={10: 6.0}).overlaps())
    assert [] == reading(tmp_path, *lines, deaths={10: 4.0}).overlaps()


def test_lost_run_is_not_done(tmp_path: Path) -> None:
    """A run that was cancelled, failed or cut off does not count as done."""
    found = reading(
        tmp_path,
        *(line("start", 1, 1.0), line("end", 1, 2.0, outcome="cancelled")),
        *(line("start", 2, 3.0), line("end", 2, 4.0, outcome="failed")),
        line("start", 3, 5.0),
    )

    assert {0} == set(found.done().values())


def test_claim_started_twice_is_refused(tmp_path: Path) -> None:
    """Two starts under one fence are no lawful audit at all."""
    with pytest.raises(ValueError, match="started twice"):
        reading(tmp_path, line("start", 1, 1.0), line("start", 1, 2.0))


def test_longest_silence(tmp_path: Path) -> None:
    """The silence is measured from edge to edge, and other events do not break it."""
    found = reading(tmp_path, *(line("tick", 1, at) for at in (1.0, 1.1, 1.5, 1.6)))

    assert 0.4 == pytest.approx(found.longest_silence("tick", 1.0, 1.6))
    assert 1.4 == pytest.approx(found.longest_silence("tick", 1.0, 3.0))
    assert 2.0 == pytest.approx(found.longest_silence("start", 1.0, 3.0))


def test_line_under_way_is_left_for_the_next_reading(tmp_path: Path) -> None:
    """A line that is not whole yet is not read; a file that is not there yet is empty."""
    path = tmp_path / "audit"
    before = Audit(path).attempts
    path.write_text(json.dumps(line("start", 1, 1.0)) + '\n{"event": "st')

    assert [] == before
    assert 1 == len(Audit(path).attempts)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_what_handlers_write_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    """A handler's block leaves its start and its end, with its job, its claim and its process."""
    monkeypatch.setenv(audit.VARIABLE, str(tmp_path / "audit"))
    claimed = Claimed("gold", f"{JOB}:1", fence=7, attempt=2, due_ms=1, body=b"")
    request = JobRequest(tenant="acme", job="import", handler="orders.import")
    context = Context(claimed, request, structlog.get_logger())
    with contextlib.suppress(*([error] if error else [])), audit.recorded(context):
        _raise(error)
    (attempt,) = Audit(tmp_path / "audit").attempts

    assert (JOB, f"{JOB}:1", 2, 7) == attempt[:4]
    assert os.getpid() == attempt.pid
    assert ("failed" if error else "done") == attempt.outcome
    assert attempt.start <= attempt.end


def _raise(error: type[BaseException] | None) -> None:
    if error:
        raise error
