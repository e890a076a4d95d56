from datetime import UTC, datetime

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs

from rota.common.job import Retry
from rota.common.message import JobRequest
from rota.common.run import Claimed
from rota.worker import Cancelled, Context
from tests.support.builders import Clock

REQUEST = JobRequest(tenant="acme", job="import", handler="a", retry=Retry(attempts=5))


def context(
    job_id: str = "acme/import:20261123T020000Z", due_ms: int = 1_795_399_200_000
) -> Context:
    """Return the context of the second attempt of a run."""
    return Context(Claimed("gold", job_id, 7, 2, due_ms, b""), REQUEST, structlog.get_logger())


def test_fields() -> None:
    """A handler is told who it works for, which run and attempt this is, and when it was due."""
    ctx = context()

    assert ("acme", "import", "gold", "a") == (ctx.tenant, ctx.job, ctx.group, ctx.handler)
    assert (2, 5, 7) == (ctx.attempt, ctx.attempts, ctx.fence)
    assert datetime(2026, 11, 23, 2, tzinfo=UTC) == ctx.due


@pytest.mark.parametrize(
    ("job_id", "due"),
    [
        ("acme/import:manual-20261123T020000Z", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("acme/import:manual-20261123T020000.250Z", datetime(2026, 11, 23, 2, 0, 0, 250_000, UTC)),
        ("acme/import:backfill-7-20261123T020000Z", datetime(2026, 11, 23, 2, tzinfo=UTC)),
        ("acme/import:of-another-kind", datetime(1970, 1, 1, tzinfo=UTC)),
        ("acme/import:20261123", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_triggered(job_id: str, due: datetime) -> None:
    """A run that somebody triggered was due when it was; a backfill's when what it runs was."""
    ctx = context(job_id, 0)

    assert (due, "backfill" in job_id) == (ctx.due, ctx.backfill)


def test_deadline() -> None:
    """A handler is told when its attempt must have ended, and how many seconds that is from now."""
    clock = Clock()
    claimed = Claimed("gold", "acme/import:20261123T020000Z", 7, 2, 1_795_399_200_000, b"")
    request = msgspec.structs.replace(REQUEST, timeout_ms=90_000)
    ctx = Context(claimed, request, structlog.get_logger(), clock=clock)
    began = clock.now_ms()
    clock.advance(60.0)

    assert (began + 90_000, 30.0) == (ctx.deadline.timestamp() * 1000, ctx.time_left)
    clock.advance(60.0)
    assert 0.0 == ctx.time_left


def test_missed() -> None:
    """A run that makes up for others has their times, aware and in order; most have none."""
    missed = (1_795_312_800_000, 1_795_356_000_500)
    request = msgspec.structs.replace(REQUEST, missed=missed)
    claimed = Claimed("gold", "acme/import:20261123T020000Z", 7, 2, 1_795_399_200_000, b"")
    ctx = Context(claimed, request, structlog.get_logger())

    assert [] == context().missed
    assert [
        datetime(2026, 11, 22, 2, tzinfo=UTC),
        datetime(2026, 11, 22, 14, 0, 0, 500_000, UTC),
    ] == ctx.missed


def test_log() -> None:
    """What a handler logs carries tenant, job, job_id and attempt."""
    with capture_logs() as events:
        context().log.info("fetched", rows=3)

    expected = {"tenant": "acme", "job": "import", "attempt": 2, "rows": 3, "event": "fetched"}
    assert expected.items() <= events[0].items()
    assert "acme/import:20261123T020000Z" == events[0]["job_id"]


def test_cancel() -> None:
    """A handler that looks is told that its run is to end."""
    ctx = context()
    ctx.check_cancelled()
    ctx.request_cancel()

    assert ctx.cancelled
    with pytest.raises(Cancelled):
        ctx.check_cancelled()
