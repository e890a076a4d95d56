"""Builders that fill what a test does not care about, and the test's hands on a store's clock.

All ids follow from the arguments: the job `import` of tenant `acme` in group `gold`, due at
`DUE_MS`, served by worker `w1`.
"""

from typing import Any, NamedTuple

import msgspec

from rota.common import keys, message
from rota.common.job import job_id
from rota.common.message import Completion, Task
from rota.common.planning import Planning
from rota.common.registration import Registration
from rota.common.run import Adoption, Claim, Claimed, Ended, Occurrence, Resting
from rota.common.scripts import GATE_MS
from rota.common.state import State
from rota.common.store import Store
from rota.common.worker_info import HandlerInfo, WorkerInfo

GROUP = "gold"
HANDLER = "orders.import"
WORKER = "w1"
BESIDE = "wide"  # the name of jobs whose runs may be in flight beside each other
DUE_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
VIRTUAL = {b"v", b"v_at", b"fence"}  # fields of the root that a refused operation may advance


class Clock:
    """A `rota.common.clock.Clock` that stands still until the test advances it."""

    def __init__(self, now_ms: int = DUE_MS) -> None:
        self._now_ms = now_ms
        self._monotonic = 1_000.0

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since 1970, UTC."""
        return self._now_ms

    def monotonic(self) -> float:
        """Return seconds that only ever grow."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks."""
        self._now_ms += round(seconds * 1000)
        self._monotonic += seconds

    def step(self, ms: int) -> None:
        """Set the wall clock alone, forward or back, as an administrator or NTP does."""
        self._now_ms += ms


def occurrence(
    tenant: str = "acme", job: str = "import", due_ms: int = DUE_MS, **over: Any
) -> Occurrence:
    """Return the run of one occurrence; the run that somebody triggered if `due_ms` is 0."""
    manual = due_ms == 0
    fields: dict[str, Any] = {
        "job_id": job_id(f"{tenant}/{job}", DUE_MS if manual else due_ms, manual=manual),
        "tenant": tenant,
        "job": job,
        "handler": HANDLER,
        "due_ms": due_ms,
        "attempts": 3,
        "keep_ms": 0,
        "overlap": "allow" if job == BESIDE else "",
    } | over
    request = message.JobRequest(
        tenant=tenant, job=job, handler=fields["handler"], beside=job == BESIDE
    )
    return Occurrence(**({"body": message.encode(request)} | fields))


def worker_info(
    worker: str = WORKER, *handlers: str, groups: tuple[str, ...] = (GROUP,), **over: Any
) -> WorkerInfo:
    """Return what `worker` tells about itself: it serves `handlers`, or else `HANDLER`."""
    served = [
        HandlerInfo(name=name, isolation="loop", schema={}) for name in handlers or (HANDLER,)
    ]
    fields: dict[str, Any] = {
        "id": worker,
        "host": "host",
        "pid": 1,
        "groups": list(groups),
        "concurrency": 8,
        "started_ms": DUE_MS,
        "handlers": served,
    }
    return WorkerInfo(**(fields | over))


def completion(run: Claimed, outcome: str = "succeeded", **over: Any) -> bytes:
    """Return the encoded completion of `run` by `WORKER`."""
    tenant, _, job = run.job_id.partition(":")[0].partition("/")
    fields: dict[str, Any] = {
        "job_id": run.job_id,
        "tenant": tenant,
        "job": job,
        "outcome": outcome,
        "attempt": run.attempt,
        "worker": WORKER,
        "beside": job == BESIDE,
    }
    return message.encode(Completion(**(fields | over)))


def ended(run: Claimed, outcome: str = "succeeded", result: bytes = b"") -> Ended:
    """Return the report that `run` is over for good."""
    return Ended(run, outcome, completion(run, outcome), result)


def resting(run: Claimed, rest_ms: int = 10_000) -> Resting:
    """Return the report that `run` failed and is to be tried again."""
    return Resting(run, rest_ms, completion(run, "retrying", next_ms=rest_ms))


async def register(
    store: Store, worker: str = WORKER, *handlers: str, groups: tuple[str, ...] = (GROUP,)
) -> None:
    """Make a worker known to the store."""
    await Registration(store).register(worker_info(worker, *handlers, groups=groups))


async def enqueue(store: Store, *runs: Occurrence, group: str = GROUP) -> list[tuple[str, str]]:
    """Enqueue runs of one group; return the word and the job_id for each."""
    return (await store.enqueue({group: runs}))[group]


async def claim(
    store: Store,
    n: int = 1,
    worker: str = WORKER,
    group: str = GROUP,
    request: int | None = None,
) -> Claim:
    """Claim up to `n` runs of one group for a worker that is registered."""
    _, claims = await store.exchange(worker, [], [], {group: n}, request=request)
    return claims[group]


async def renew(store: Store, run: Claimed) -> str:
    """Renew the lease of `run`; return what became of it."""
    lost, unknown = await store.renew([run])
    return "lost" if run in lost else "unknown" if run in unknown else "renewed"


def adoption(run: Claimed, attempts: int = 3) -> Adoption:
    """Return what `WORKER` knows of a run that it holds."""
    tenant, _, job = run.job_id.partition(":")[0].partition("/")
    return Adoption(run, tenant, job, HANDLER, attempts)


async def adopt(store: Store, *runs: Claimed, worker: str = WORKER) -> list[str]:
    """Bring back claims that the store has lost; return what became of each."""
    lost = await store.adopt(worker, GROUP, [adoption(run) for run in runs])
    return ["lost" if run in lost else "adopted" for run in runs]


async def complete(
    store: Store, run: Claimed, outcome: str = "succeeded", *, waited_ms: int = 0
) -> str:
    """Report that `run` is over; return the store's word."""
    report = ended(run, outcome)._replace(waited_ms=waited_ms)
    words, _ = await store.exchange(WORKER, [report], [], {})
    return words[run.job_id]


async def retry(store: Store, run: Claimed, rest_ms: int = 10_000, *, waited_ms: int = 0) -> str:
    """Report that `run` failed and rests; return the store's word."""
    report = resting(run, rest_ms)._replace(waited_ms=waited_ms)
    words, _ = await store.exchange(WORKER, [], [report], {})
    return words[run.job_id]


class Seeded(NamedTuple):
    """A run that was brought into a state."""

    occurrence: Occurrence
    run: Claimed  # as its worker last held it; under fence 1, which nobody ever had, if none did


async def seed(store: Store, state: State | None, group: str = GROUP, **over: Any) -> Seeded:
    """Bring one run into `state` through the store's own operations; None leaves it unknown.

    Worker `w1` is registered for `HANDLER`, worker `other` for something else. A run that
    succeeded is kept for an hour, so that its state can be read.
    """
    await register(store, groups=(group,))
    await register(store, "other", "mail.send", groups=(group,))
    wanted = occurrence(**({"keep_ms": HOUR_MS} | over))
    run = Claimed(group, wanted.job_id, 1, 1, wanted.due_ms, wanted.body)
    if state is None:
        await store.sweep(group)  # the group exists, the run does not
        return Seeded(wanted, run)
    await enqueue(store, wanted, group=group)
    if state is State.HELD:
        await claim(store, worker="other", group=group)
    elif state is not State.QUEUED:
        run = (await claim(store, group=group)).runs[0]
    if state is State.RETRYING:
        await retry(store, run)
    elif state is State.FANNED:
        await _fan_out(store, run)
    elif state in (State.SUCCEEDED, State.DEAD, State.CANCELLED):
        await complete(store, run, state.value)
    return Seeded(wanted, run)


async def _fan_out(store: Store, run: Claimed) -> None:
    """Let a run wait for a task whose handler nobody serves."""
    planning = Planning(store, run, message.decode_request(run.body), "nobody.serves")
    await planning.add(0, [Task(msgspec.Raw(b"\x80"))])
    report = ended(run)._replace(tasks=1)
    await store.exchange(WORKER, [report], [], {})
    await claim(store, worker="other", group=run.group)


async def state_of(store: Store, job_id: str, group: str = GROUP) -> State | None:
    """Return the state in the run's record, None if there is no record."""
    value = await store.link.command("HGET", keys.run(group, job_id), "state")
    return None if value is None else State(value.decode())


async def shift(store: Store, ms: int, group: str = GROUP) -> None:
    """Let `ms` milliseconds pass for the leases, rests and shares of `group` (see `lib.lua`)."""
    await store.link.command("HINCRBY", keys.root(group), "skew", ms)


async def change_server(store: Store, group: str = GROUP) -> None:
    """Let the store find, with the next script, that it is served by another process."""
    await store.link.command("HSET", keys.root(group), "server", "0" * 40)


async def close_gate(store: Store, group: str = GROUP) -> None:
    """Let the store see what has become of it, and let the time pass until its gate is closed."""
    await store.sweep(group)
    await shift(store, GATE_MS, group)


_READ: dict[bytes, tuple[Any, ...]] = {
    b"string": ("GET",),
    b"hash": ("HGETALL",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"stream": ("XRANGE", "-", "+"),
}


async def snapshot(store: Store, *, virtual: bool = True) -> dict[str, Any]:
    """Return the whole key-space: each key with its type and value.

    `virtual=False` leaves out the root's `VIRTUAL` fields, which advance with time.
    """
    known = sorted(await store.link.command("KEYS", "*"))
    types = await store.link.pipeline([("TYPE", name) for name in known])
    # A key may end its time in between.
    there = [(name, kind) for name, kind in zip(known, types, strict=True) if kind != b"none"]
    names, kinds = [name for name, _ in there], [kind for _, kind in there]
    values = await store.link.pipeline(
        [(_READ[kind][0], name, *_READ[kind][1:]) for name, kind in zip(names, kinds, strict=True)]
    )
    found = zip((name.decode() for name in names), kinds, values, strict=True)
    space = {
        name: (kind.decode(), dict(zip(value[::2], value[1::2], strict=True)))
        if kind == b"zset"
        else (kind.decode(), value)
        for name, kind, value in found
    }
    if not virtual:
        for name in space.keys() & {keys.root(group) for group in _groups(space)}:
            kind, fields = space[name]
            space[name] = (kind, {k: v for k, v in fields.items() if k not in VIRTUAL})
    return space


def _groups(space: dict[str, Any]) -> set[str]:
    return {name.partition("{")[2].partition("}")[0] for name in space}
