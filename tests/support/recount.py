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
    queue = keys.queue(GROUP, "")
    queued = {name.removeprefix(queue) for name in space if name.startswith(queue)}
    return {
        "running": len(running),
        "weight": len(queued | by_tenant.keys()),
        "tenants": {tenant: by_tenant[tenant] for tenant in queued | by_tenant.keys()},
        "active": queued,
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
        "weight": int(root.get(b"weight", 0)),
        "tenants": {
            tenant: int(h[b"running"])
            for tenant, h in tenants.items()
            if h[b"busy"] == b"1" or int(h[b"running"])
        },
        "active": members(keys.active(GROUP)),
        "leases": members(keys.leases(GROUP)),
        "retries": members(keys.retries(GROUP)),
    }


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
