"""What can't happen, done to a store: one thing at a time, and what a walk must repair then."""

from collections.abc import Callable
from random import Random
from typing import Any

from rota.common import keys
from rota.common.state import State
from tests.support.builders import GROUP
from tests.support.model import LEASE_MS, Model

Repair = tuple[str, str]  # word, and what it is about; empty where the word says it all
Plan = tuple[list[tuple[Any, ...]], list[Repair]]  # commands that damage; what repairs it
Damage = Callable[[Model, str], Plan]
NOTHING: Plan = ([], [])


def plan(model: Model, random: Random) -> Plan:
    """Return some damage that the group can have; bring the model where the repair leads to."""
    kinds = {  # kind of damage, and to what it can be done
        _lose_lease: model.of(State.RUNNING),
        _lose_rest: model.of(State.RETRYING),
        _lose_pointer: model.of(State.QUEUED),
        _lose_hold: model.of(State.HELD),
        _double_pointer: model.of(State.QUEUED),
        _stray_lease: model.of(State.QUEUED, State.DEAD),
        _stray_rest: model.of(State.RUNNING, State.SUCCEEDED),
        _stale_slot: [ref for ref, slot in model.slots.items() if slot.last and not slot.run],
        _forget_active: [tenant for tenant, queue in model.queues.items() if queue],
        _miscount_tenant: list(model.queues),
        _miscount_running: [""],
        _miscount_weight: [""],
        _sound: [""],
    }
    damage: Damage = random.choice([kind for kind, names in kinds.items() if names])
    return damage(model, random.choice(sorted(kinds[damage])))


def _sound(_: Model, __: str) -> Plan:
    return NOTHING


def _lose_lease(model: Model, job_id: str) -> Plan:
    model.leases[job_id] = model.now + LEASE_MS
    return [("ZREM", keys.leases(GROUP), job_id)], [("lease_missing", job_id)]


def _lose_rest(model: Model, job_id: str) -> Plan:
    model.rests[job_id] = model.now
    return [("ZREM", keys.retries(GROUP), job_id)], [("rest_missing", job_id)]


def _lose_pointer(model: Model, job_id: str) -> Plan:
    tenant = job_id.partition("/")[0]
    model.queues[tenant] = [*(i for i in model.queues[tenant] if i != job_id), job_id]
    return [("LREM", keys.queue(GROUP, tenant), 0, job_id)], [("pointer_missing", job_id)]


def _lose_hold(model: Model, job_id: str) -> Plan:
    handler = model.runs[job_id].handler
    model.holds[handler] = [*(i for i in model.holds[handler] if i != job_id), job_id]
    return [("LREM", keys.hold(GROUP, handler), 0, job_id)], [("pointer_missing", job_id)]


def _double_pointer(model: Model, job_id: str) -> Plan:
    tenant = job_id.partition("/")[0]
    model.queues[tenant].append(job_id)
    return [("RPUSH", keys.queue(GROUP, tenant), job_id)], []  # see `undouble`


def _stray_lease(model: Model, job_id: str) -> Plan:
    return [("ZADD", keys.leases(GROUP), model.now, job_id)], [("lease_stray", job_id)]


def _stray_rest(model: Model, job_id: str) -> Plan:
    return [("ZADD", keys.retries(GROUP), model.now, job_id)], [("rest_stray", job_id)]


def _stale_slot(model: Model, ref: str) -> Plan:
    model.gone(f"{ref}:gone", "lost")
    return [("HSET", keys.slot(GROUP, ref), "run", f"{ref}:gone")], [("slot_stale", ref)]


def _forget_active(_: Model, tenant: str) -> Plan:
    return [("ZREM", keys.active(GROUP), tenant)], [("tenant_inactive", tenant)]


def _miscount_tenant(_: Model, tenant: str) -> Plan:
    key = keys.tenant(GROUP, tenant)
    return [("HINCRBY", key, "running", 2)], [("tenant_miscounted", tenant)]


def _miscount_running(_: Model, __: str) -> Plan:
    return [("HINCRBY", keys.root(GROUP), "running", 3)], [("running_miscounted", "")]


def _miscount_weight(_: Model, __: str) -> Plan:
    return [("HINCRBYFLOAT", keys.root(GROUP), "weight", 3)], [("weight_miscounted", "")]


def undouble(model: Model) -> list[Repair]:
    """Let each queue of the model name a run once; return for which tenants that is a repair.

    Doubled pointers come about by themselves: they are hints.
    """
    repairs: list[Repair] = []
    for tenant, queue in model.queues.items():
        once = list(dict.fromkeys(queue))
        if once != queue:
            queue[:] = once
            repairs.append(("pointer_doubled", tenant))
    return repairs


REPAIRS = {
    "lease_missing", "rest_missing", "pointer_missing", "pointer_doubled", "lease_stray",
    "rest_stray", "slot_stale", "tenant_inactive", "tenant_miscounted", "running_miscounted",
    "weight_miscounted",
}  # fmt: skip
