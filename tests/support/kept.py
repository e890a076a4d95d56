"""What a store keeps of a job's occurrences, and a store that has lost some of it."""

from rota.common import keys
from rota.common.clock import SystemClock
from rota.common.ledger import Entry, Ledger, Stretch
from rota.common.store import Store
from tests.support import schedulers
from tests.support.builders import GROUP
from tests.support.schedulers import REF


async def ledger(store: Store, ref: str = REF) -> list[Entry]:
    """Return what is kept of a job, the latest first."""
    return await Ledger(store.link).of(GROUP, ref, SystemClock().now_ms())


async def stretches(store: Store, ref: str = REF) -> list[Stretch]:
    """Return what is kept of a job's occurrences that were not run, the latest first."""
    return [entry for entry in await ledger(store, ref) if isinstance(entry, Stretch)]


async def flying(store: Store, ref: str = REF) -> set[str]:
    """Return the run in flight of a job, if there is one."""
    run = (await schedulers.slot(store, ref)).run
    return {run} if run else set()


async def set_cursor(store: Store, due_ms: int, ref: str = REF) -> None:
    """Let the store remember that a job was accounted for until then."""
    await store.link.command("HSET", keys.slot(GROUP, ref), "due", due_ms)


async def lose_writes(store: Store, until_ms: int) -> None:
    """Let another server go on, that has heard nothing of the ledger since, all at once."""
    lost = "call('HSET', KEYS[1], 'due', ARGV[1]) call('DEL', KEYS[2])"
    lost = f"local call = redis.call {lost} call('HSET', KEYS[3], 'server', 'another')"
    names = keys.slot(GROUP, REF), keys.ledger(GROUP, REF), keys.root(GROUP)
    await store.link.command("EVAL", lost, len(names), *names, until_ms)
