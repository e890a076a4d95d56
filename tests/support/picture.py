"""What a group holds, as one dict: of the store and of its model, so that they can be compared."""

from collections.abc import Iterable
from typing import Any

from rota.common import keys, ledger, progress
from rota.common.ledger import Attempts, Entry
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, recount
from tests.support.builders import GROUP
from tests.support.model import GRID_MS, IN_FLIGHT, Model, beside

Picture = dict[str, Any]


async def of_store(store: Store) -> Picture:
    """Return what the store holds, its times rounded down to half of the model's grid."""
    space = await builders.snapshot(store)
    root = space[keys.root(GROUP)][1]
    return {
        "runs": {i: _record(fields) for i, fields in _under(space, keys.run(GROUP, "")).items()},
        "slots": {
            ref: _slot(fields) for ref, fields in _under(space, keys.slot(GROUP, "")).items()
        },
        "queues": _lists(space, keys.queue(GROUP, "")),
        "holds": _lists(space, keys.hold(GROUP, "")),
        "held": _words(space.get(keys.held(GROUP), ("set", []))[1]),
        "leases": _times(space, keys.leases(GROUP)),
        "rests": _times(space, keys.retries(GROUP)),
        "dead": _words(space.get(keys.dead(GROUP), ("zset", {}))[1]),
        "ledger": {
            ref: [_entry(each) for each in ledger.entries(ref, rows)]
            for ref, rows in _under(space, keys.ledger(GROUP, "")).items()
        },
        "told": len(space.get(keys.done(GROUP), ("stream", []))[1]),
        "tokens": _lists(space, keys.control(GROUP, "")),
        "fence": int(root.get(b"fence", 0)),
        "counters": recount.counted(space),
    }


def of_model(model: Model) -> Picture:
    """Return what the model says that the store holds."""
    running = model.of(State.RUNNING)
    by_tenant = {t: sum(i.startswith(f"{t}/") for i in running) for t in _tenants(model, running)}
    return {
        "runs": {
            job_id: (r.state, r.attempt, r.fence, r.worker, r.cancel, r.rested, r.items)
            for job_id, r in model.runs.items()
        },
        "slots": {
            ref: values
            for ref, s in model.slots.items()
            if any(values := (s.run, s.due, s.last, s.outcome, s.fence, s.ok, s.failures))
        },
        "queues": _filled(model.queues),
        "holds": _filled(model.holds),
        "held": {handler for handler, held in model.holds.items() if held},
        "leases": model.leases,
        "rests": model.rests,
        "dead": model.dead,
        "ledger": {ref: entries for ref, entries in model.ledger.items() if entries},
        "told": len(model.told),
        "tokens": _filled(model.tokens),
        "fence": model.fence,
        "counters": {
            "running": len(running),
            "weight": len(by_tenant),
            "handlers": model.running_of(),
            "waiting": {
                (tenant, ring)
                for name, queue in model.queues.items()
                for tenant, _, ring in [name.partition("@")]
                if queue
            },
            "tenants": by_tenant,
            "leases": set(running),
            "retries": set(model.of(State.RETRYING)),
        },
    }


def faults(model: Model) -> list[str]:
    """Return what no sequence of transitions may lead to."""
    flying = {slot.run for slot in model.slots.values() if slot.run and not beside(slot.run)}
    alone = {job_id for job_id in model.of(*IN_FLIGHT) if not beside(job_id)}
    found = {
        "a run in flight that no slot knows, or a slot of none": flying ^ alone,
        "a lease of none": model.leases.keys() ^ set(model.of(State.RUNNING)),
        "a rest of none": model.rests.keys() ^ set(model.of(State.RETRYING)),
        "a letter that is not dead": model.dead ^ set(model.of(State.DEAD)),
        "too many attempts": {i for i, r in model.runs.items() if not 0 <= r.attempt <= 3},
        "a run that nobody will find": {
            i
            for i, r in model.runs.items()
            if (r.state is State.QUEUED and not any(i in queue for queue in model.may_point_to(i)))
            or (r.state is State.HELD and i not in model.holds[r.handler])
        },
    }
    return [f"{what}: {sorted(which)}" for what, which in found.items() if which]


def _tenants(model: Model, running: Iterable[str]) -> set[str]:
    queued = {name.partition("@")[0] for name, queue in model.queues.items() if queue}
    return queued | {job_id.partition("/")[0] for job_id in running}


def _filled(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: values for name, values in lists.items() if values}


def _under(space: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {n.removeprefix(prefix): v for n, (_, v) in space.items() if n.startswith(prefix)}


def _lists(space: dict[str, Any], prefix: str) -> dict[str, list[str]]:
    return {n: [i.decode() for i in v] for n, v in _under(space, prefix).items()}


def _words(values: Iterable[bytes]) -> set[str]:
    return {value.decode() for value in values}


def _times(space: dict[str, Any], key: str) -> dict[str, int]:
    half = GRID_MS // 2
    found = space.get(key, ("zset", {}))[1]
    return {name.decode(): int(float(at)) // half * half for name, at in found.items()}


def _entry(entry: Entry) -> tuple[str | int, ...]:
    if isinstance(entry, Attempts):
        items = sum(each.items for each in entry.units)
        return entry.outcome, entry.job_id, entry.attempts, entry.replays, items
    return entry.outcome, entry.detail, entry.from_ms, entry.to_ms, entry.times, entry.way


def _record(fields: dict[bytes, bytes]) -> tuple[Any, ...]:
    numbers = [int(fields.get(name, 0)) for name in (b"attempt", b"fence")]
    worker, state = fields.get(b"worker", b"").decode(), State(fields[b"state"].decode())
    items = sum(each.items for each in progress.sums(fields.get(b"units", b"")))
    return state, *numbers, worker, b"cancel" in fields, int(fields.get(b"rested", 0)), items


def _slot(fields: dict[bytes, bytes]) -> tuple[Any, ...]:
    run, last, outcome = (fields.get(n, b"").decode() for n in (b"run", b"last", b"outcome"))
    due, fence, failures = (int(fields.get(n, 0)) for n in (b"due", b"fence", b"failures"))
    return run, due, last, outcome, fence, b"ok" in fields, failures
