"""What a group's counters should be, counted from its runs, and what they are."""

from collections import Counter
from typing import Any

from rota.common import keys
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import GROUP

IN_FLIGHT = {State.QUEUED, State.HELD, State.RUNNING, State.RETRYING}


async def differences(store: Store) -> dict[str, tuple[Any, Any]]:
    """Return the counters that are not what a recount gives: by name what should be and what is."""
    space = await builders.snapshot(store)
    should, is_ = recount(space), counted(space)
    return {name: (should[name], is_[name]) for name in should if should[name] != is_[name]}


def recount(space: dict[str, Any]) -> dict[str, Any]:
    """Return what the counters of the group should be, counted from its runs and queues."""
    prefix = keys.run(GROUP, "")
    runs = {
        name.removeprefix(prefix): v for name, (_, v) in space.items() if name.startswith(prefix)
    }
    running = {i: r for i, r in runs.items() if r[b"state"] == b"running"}
    by_tenant = Counter(r[b"tenant"].decode() for r in running.values())
    lists = queues(space)
    queued = {tenant for tenant, _, _ in lists}
    weights = {tenant: _weight(space, tenant) for tenant in queued | by_tenant.keys()}
    caps = space.get(keys.caps(GROUP), ("hash", {}))[1]
    limited = {name.decode() for name, most in caps.items() if name and most != b"0"}
    by_handler = Counter(r[b"handler"].decode() for r in running.values())
    return {
        "running": len(running),
        "weight": sum(weights.values()),
        "handlers": {handler: by_handler[handler] for handler in limited},
        "waiting": {(tenant, ring) for tenant, ring, _ in lists},
        "tenants": {tenant: by_tenant[tenant] for tenant in queued | by_tenant.keys()},
        "leases": set(running),
        "retries": {i for i, r in runs.items() if r[b"state"] == b"retrying"},
    }


def counted(space: dict[str, Any]) -> dict[str, Any]:
    """Return what the counters of the group are."""

    def members(key: str) -> set[str]:
        return {name.decode() for name in space.get(key, ("zset", {}))[1]}

    _, root = space.get(keys.root(GROUP), ("hash", {}))
    prefix = keys.tenant(GROUP, "")
    tenants = {n.removeprefix(prefix): v for n, (_, v) in space.items() if n.startswith(prefix)}
    return {
        "running": int(root.get(b"running", 0)),
        "weight": float(root.get(b"weight", 0)),
        "handlers": _handlers(space),
        "waiting": _waiting(space),
        "tenants": {
            tenant: int(h[b"running"])
            for tenant, h in tenants.items()
            if h[b"busy"] == b"1" or int(h[b"running"])
        },
        "leases": members(keys.leases(GROUP)),
        "retries": members(keys.retries(GROUP)),
    }


def queues(space: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return tenant, ring and priority of each queue that there is."""
    prefix = keys.queue(GROUP, "")
    found = []
    for key in (key.removeprefix(prefix) for key in space if key.startswith(prefix)):
        name, _, priority = key.partition("^")
        tenant, _, ring = name.partition("@")
        found.append((tenant, ring, priority or "normal"))
    return found


def _weight(space: dict[str, Any], tenant: str) -> float:
    return float(space.get(keys.tenant(GROUP, tenant), ("hash", {}))[1].get(b"weight", 1))


def _handlers(space: dict[str, Any]) -> dict[str, int]:
    """Return how many runs of limited handlers count as running."""
    caps = space.get(keys.caps(GROUP), ("hash", {}))[1]
    counts = space.get(keys.running(GROUP), ("hash", {}))[1]
    return {
        name.decode(): int(counts.get(name, 0))
        for name, most in caps.items()
        if name and most != b"0"
    }


def _waiting(space: dict[str, Any]) -> set[tuple[str, str]]:
    """Return tenant and ring of who is in a ring; who is limited counts for all its queues."""
    prefix = keys.active(GROUP)
    rings = {
        key.removeprefix(prefix)[1:]: v[1] for key, v in space.items() if key.startswith(prefix)
    }
    found = {(name.decode(), ring) for ring, names in rings.items() for name in names}
    limited = {name.decode() for name in space.get(keys.limited(GROUP), ("zset", {}))[1]}
    return found | {(tenant, ring) for tenant, ring, _ in queues(space) if tenant in limited}


def states(space: dict[str, Any]) -> dict[str, State]:
    """Return the state of each run in flight."""
    prefix = keys.run(GROUP, "")
    found = {
        name.removeprefix(prefix): State(value[b"state"].decode())
        for name, (_, value) in space.items()
        if name.startswith(prefix)
    }
    return {job_id: state for job_id, state in found.items() if state in IN_FLIGHT}


def slots(space: dict[str, Any]) -> dict[str, str]:
    """Return the run in flight of each job that has one."""
    prefix = keys.slot(GROUP, "")
    return {
        name.removeprefix(prefix): value[b"run"].decode()
        for name, (_, value) in space.items()
        if name.startswith(prefix) and b"run" in value
    }
