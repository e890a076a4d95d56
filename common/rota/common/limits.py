"""What tenants, handlers and groups may use and keep at most, and what their shares weigh."""

from collections.abc import Mapping

import msgspec

from rota.common.retention import Retention


class TenantLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The share and the limits of one tenant; 0 is no limit."""

    weight: float = 1.0  # of its share in its group, 0.1 to 1,000
    max_concurrency: int = 0  # runs at a time
    interval_ms: float = 0.0  # one run may start each time that this has passed
    burst: int = 1  # how many may start at once if none did for long
    max_backlog: int = 0  # queued runs; an occurrence beyond that is shed


class GroupLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The weight and the limits of one group, its tenants and the handlers of its jobs."""

    weight: float = 1.0  # among the groups that a worker serves, 0.1 to 1,000
    max_concurrency: int = 0  # runs at a time; 0 is no limit
    catch_up_concurrency: int = 100  # of those the ones that make up for what was missed
    ledger: Retention = Retention()  # what is kept of each of its jobs
    tenants: dict[str, TenantLimits] = {}
    handlers: dict[str, int] = {}  # handler -> runs at a time, in this group; at least 1


UNLIMITED = TenantLimits()  # what a tenant has that says nothing
OPEN = GroupLimits()  # what a group has that says nothing, and of which nobody does


def stated(limits: Mapping[str, GroupLimits]) -> dict[str, GroupLimits]:
    """Return the limits of groups without those that limit nothing, which are as good as absent."""
    found = {}
    for group, each in limits.items():
        tenants = {name: own for name, own in each.tenants.items() if own != UNLIMITED}
        found[group] = msgspec.structs.replace(each, tenants=tenants)
    return {group: each for group, each in found.items() if each != OPEN}
