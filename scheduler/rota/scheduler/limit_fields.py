"""Limits by the names and in the form in which one writes them in the configuration."""

from typing import Any

from rota.common.limits import GroupLimits, TenantLimits
from rota.scheduler.config import rate


def of_group(limits: GroupLimits) -> dict[str, Any]:
    """Return the fields of a group; None where there is no limit."""
    return {
        "weight": _weight(limits.weight),
        "max_concurrency": limits.max_concurrency or None,
        "ledger": {"runs": limits.ledger.runs, "days": limits.ledger.days},
        "catch_up_concurrency": limits.catch_up_concurrency,
    }


def of_tenant(limits: TenantLimits) -> dict[str, Any]:
    """Return the fields of a tenant; None where there is no limit."""
    return {
        "weight": _weight(limits.weight),
        "max_concurrency": limits.max_concurrency or None,
        "rate_limit": rate.text(limits.interval_ms) if limits.interval_ms else None,
        "burst": limits.burst,
        "max_backlog": limits.max_backlog or None,
    }


def _weight(value: float) -> float:
    return int(value) if value.is_integer() else value
