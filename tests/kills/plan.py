"""The jobs that are scheduled while schedulers are killed."""

from typing import Any

from rota.common.job import Blackout, Job, Retry
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.retention import Retention
from tests.support import definitions

TTL = 0.9  # seconds that a leader may be silent
LEDGER = Retention(runs=1_000)  # so that all runs of a story are in the ledger at its end
STEADY = ("delay", "rate", "flaky")  # jobs whose runs succeed, one after another
_ALWAYS = (Blackout(start="2000-01-01 00:00", end="2100-01-01 00:00"),)
_REST_MS = 1_500  # longer than it takes until another leads: the delay outlasts its scheduler


def jobs(tenant: str) -> list[Job]:
    """Return jobs of all kinds: one fails once, one is always cancelled, two are triggered.

    Of one most occurrences are skipped, and of one all lie in a blackout.
    """
    work: dict[str, Any] = {"handler": "work", "args": {"seconds": 0.02}}
    slow = work | {"args": {"seconds": 0.5}, "overlap": "cancel"}
    long = work | {"args": {"seconds": 0.5}}
    flaky: dict[str, Any] = {"handler": "fail-once", "retry": Retry(backoff_ms=20)}
    return [
        definitions.job(f"{tenant}/delay", after="150ms", **work),
        definitions.job(f"{tenant}/rate", every="300ms", **work),
        definitions.job(f"{tenant}/flaky", after="200ms", **flaky),
        definitions.job(f"{tenant}/slow", every="350ms", **slow),
        definitions.job(f"{tenant}/rest", after=f"{_REST_MS}ms", **work),
        definitions.job(f"{tenant}/dense", every="200ms", **long),
        definitions.job(f"{tenant}/closed", every="300ms", blackouts=_ALWAYS, **work),
        definitions.job(f"{tenant}/hand", cron="0 0 29 2 *", **work),
    ]


def limits(tenant: str) -> GroupLimits:
    """Return limits that keep nothing from running, but let it go other ways in the store."""
    return GroupLimits(
        max_concurrency=100,
        ledger=LEDGER,
        tenants={tenant: TenantLimits(max_concurrency=50, interval_ms=1.0, burst=50)},
        handlers={"work": 50},
    )
