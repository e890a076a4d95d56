"""Every key is made in `keys.py`, has the type it says, and nothing is left behind."""

import inspect
import re
from pathlib import Path

import pytest

import rota.common
from rota.common import keys, names
from rota.common.backfills import Backfills
from rota.common.catalog import Catalog
from rota.common.job import Job, Schedule
from rota.common.ledger import Note, Outcome
from rota.common.limiter import Limiter
from rota.common.limits import GroupLimits, TenantLimits
from rota.common.pauses import Pauses
from rota.common.reconciliation import Reconciliation
from rota.common.recording import Recording
from rota.common.registration import Registration
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, fans, revisions
from tests.support.builders import DUE_MS, GROUP, HOUR_MS

KEPT = {
    keys.root(GROUP),
    keys.slot(GROUP, "acme/import"),
    keys.tenant(GROUP, "acme"),
    keys.done(GROUP),
}
LEDGER = {keys.ledger(GROUP, "acme/import")}  # it ends a month later
FAN = [keys.fan, keys.todo, keys.again, keys.live, keys.over, keys.died, keys.bad]
MAKERS = [function for _, function in inspect.getmembers(keys, inspect.isfunction)]


def sources() -> list[Path]:
    """Return the Python files of the three parts, wherever they are installed."""
    import rota  # the namespace: one path for each part, or one for all

    return [path for part in rota.__path__ for path in Path(part).rglob("*.py")]


def test_keys_are_made_in_one_place() -> None:
    """No other module writes a key by hand."""
    found = [path.name for path in sources() if re.search(r"""["']rota:""", path.read_text())]

    assert Path(rota.common.__path__[0]) / "store.py" in sources()
    assert ["keys.py"] == found


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_keys_are_documented(maker: object) -> None:
    """Each key says its type and how long it lives."""
    text = inspect.getdoc(maker) or ""

    assert re.match(r"Return the (SET|HASH|LIST|ZSET|STRING|STREAM) of ", text)
    assert re.search(r"\b(Kept|Gone)\b", text)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_keys_of_a_group_share_a_slot(maker: object) -> None:
    """All keys of a group hash alike, so that a script may touch them all in a cluster.

    So do those of the configuration, by a tag that no group can have.
    """
    assert callable(maker)
    parameters = list(inspect.signature(maker).parameters)
    key = maker(*parameters)

    tags = (
        [":revisions"] if maker in (keys.revisions, keys.revision, keys.pauses) else parameters[:1]
    )

    assert tags == re.findall(r"\{(.*?)\}", key)


async def test_types(store: Store) -> None:
    """Each key is of the type that it is documented to be, with runs in every state."""
    job = Job(
        tenant="acme", name="import", group=GROUP, handler="h", schedule=Schedule(kind="cron")
    )
    await Catalog(store.link).publish(GROUP, [job])
    rated = {"rated": TenantLimits(interval_ms=HOUR_MS)}
    await Limiter(store).limit(GROUP, GroupLimits(tenants=rated))
    for state in set(State) - {State.QUEUED, State.HELD}:
        await builders.seed(store, state, job=state.value)
    await builders.enqueue(store, *(builders.occurrence("rated", job) for job in ("a", "b")))
    await builders.claim(store, n=9)
    await builders.seed(store, State.HELD, job="held")
    fanned = await fans.leave_traces(store)
    await builders.enqueue(store, builders.occurrence(job="queued", handler="mail.send"))
    await Limiter(store).limit(GROUP, GroupLimits(handlers={builders.HANDLER: 9}, tenants=rated))
    await store.lead(GROUP, "s1", HOUR_MS, wanted=True)
    # As one that serves a handler is woken when another one sets its run aside.
    await store.link.command("RPUSH", keys.wake_worker(GROUP, builders.WORKER), "1")
    await store.link.command("RPUSH", keys.control(GROUP, builders.WORKER), "1")
    await store.link.command("RPUSH", keys.inbox(GROUP, "c1"), "job_id", "completion", "result")
    await store.link.command("ZADD", keys.leases(GROUP), 0, "acme/gone:1")
    await Reconciliation(store).reconcile(GROUP, [("lease", "acme/gone:1")])
    revision = await revisions.make(store, b"content")
    await Pauses(store.link).pause("acme", by="ann@ops", why="")
    ref, job_id = "acme/queued", builders.occurrence(job="queued").job_id
    note = Note(ref, Outcome.SKIPPED, "", DUE_MS + 1, DUE_MS + 1, 1)
    await Recording(store).record(GROUP, note)
    await Backfills(store.link).begin(GROUP, ref, from_ms=1, to_ms=2, total=1, by="ann@ops")
    parameters = {
        "group": GROUP,
        "ref": ref,
        "job_id": job_id,
        "tenant": "acme",
        "handler": builders.HANDLER,
        "worker_id": builders.WORKER,
        "client": "c1",
    }
    for maker in MAKERS:
        parameters["name"] = revision.name if maker is keys.revision else "acme"
        parameters["job_id"] = fanned if maker in FAN else job_id
        needed = inspect.signature(maker).parameters.values()
        key = maker(*(parameters[p.name] for p in needed if p.default is p.empty))
        kind = await store.link.command("TYPE", key)

        assert (inspect.getdoc(maker) or "").split()[2].lower() == kind.decode(), key


async def test_nothing_is_left_behind(store: Store) -> None:
    """After any number of runs the store holds what it held after the first one."""
    await builders.register(store)
    for number in range(20):
        await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + number))
        run = (await builders.claim(store)).runs[0]
        await builders.retry(store, run)
        await builders.shift(store, HOUR_MS)
        await store.sweep(GROUP)
        run = (await builders.claim(store)).runs[0]
        await store.release([run])
        run = (await builders.claim(store)).runs[0]
        await builders.complete(store, run)
    await Registration(store).unregister(builders.worker_info())
    # Tokens are for workers that come next, and a claim is remembered for a lease.
    await store.link.command("DEL", keys.wake(GROUP), keys.claim(GROUP, builders.WORKER))

    assert KEPT | LEDGER == set(await builders.snapshot(store))


async def test_held_run_leaves_nothing_behind(store: Store) -> None:
    """A run that had to wait for a worker that serves its handler leaves no trace of that."""
    seeded = await builders.seed(store, State.HELD, keep_ms=0)
    run = (await builders.claim(store)).runs[0]
    await builders.complete(store, run)
    for worker in (builders.WORKER, "other"):
        await Registration(store).unregister(builders.worker_info(worker))
        tokens = keys.wake(GROUP), keys.wake_worker(GROUP, worker)
        await store.link.command("DEL", *tokens, keys.claim(GROUP, worker))

    assert seeded.occurrence.job_id == run.job_id
    assert KEPT | LEDGER == set(await builders.snapshot(store))


async def test_every_other_key_expires(store: Store) -> None:
    """A dead letter, a kept result and a registration end by themselves."""
    await builders.seed(store, State.DEAD)
    await builders.enqueue(store, builders.occurrence(due_ms=DUE_MS + 1, keep_ms=HOUR_MS))
    await builders.complete(store, (await builders.claim(store)).runs[0])
    names = sorted(set(await builders.snapshot(store)) - KEPT)
    times = await store.link.pipeline([("PTTL", name) for name in names])
    forever = {name for name, ms in zip(names, times, strict=True) if ms < 0}

    assert {keys.dead(GROUP), keys.workers(GROUP), keys.wake(GROUP)} == forever


def test_no_group_is_called_like_the_revisions() -> None:
    """The hash tag of the configuration's keys is no name of a group; all keys begin alike."""
    assert not names.is_name(":revisions")
    assert keys.root(":revisions") == keys.revisions()
    assert keys.revision("1:a").startswith("rota:")
