"""An hour in which nothing lives: then the ledger has no hole, and every outcome is right."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple, get_args

from rota.common.clock import SystemClock
from rota.common.job import Job, Misfire, Overlap
from rota.common.ledger import Attempts, Entry, Stretch
from rota.common.store import Store
from rota.scheduler.schedule import due_of
from tests.support import builders, probe, schedulers
from tests.support.definitions import job
from tests.support.kept import ledger
from tests.support.moment import MINUTE
from tests.support.reckoning import Past, reckoned

ENDS = 25 * MINUTE  # after the kill the runs of some jobs end, though no scheduler hears of it
DEAD = 65 * MINUTE
KINDS = ("idle", "ends", "stays")  # whether a run is in flight meanwhile, and how long


class Ahead(SystemClock):
    """The machine's clock, set ahead."""

    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        """Return the wall time in milliseconds since 1970, UTC."""
        return super().now_ms() + self._ms


class Found(NamedTuple):
    """What became of one occurrence."""

    outcome: str
    missed: tuple[int, ...]


def jobs(due_ms: int) -> Iterator[Job]:
    """Return jobs of every pair of policies, all due at `due_ms` and each 10 minutes after it."""
    pairs = product(KINDS, get_args(Overlap), get_args(Misfire), (0, 35 * MINUTE))
    for kind, overlap, misfire, lateness in pairs:
        yield job(
            f"{kind}/{overlap}-{misfire}-{lateness}",
            handler=f"orders.{kind}",
            every="10m",
            phase_ms=due_ms % (10 * MINUTE),
            overlap=overlap,
            misfire=misfire,
            max_lateness_ms=lateness,
            max_catch_up=3,
        )


async def end(store: Store, kind: str) -> int:
    """Carry out what is queued for one kind of jobs; return how many runs these were."""
    count = 0
    while runs := (await builders.claim(store, 50, worker=kind)).runs:
        for run in runs:
            await builders.complete(store, run)
        count += len(runs)
    return count


def outcomes(entries: list[Entry], each: Job) -> dict[int, list[str]]:
    """Return what became of each occurrence; of runs that succeeded `run`."""
    found: dict[int, list[str]] = {}
    for entry in entries:
        moment = entry.due_ms if isinstance(entry, Attempts) else entry.from_ms
        outcome = "run" if entry.outcome == "succeeded" else entry.outcome
        last = entry.to_ms if isinstance(entry, Stretch) else moment
        while moment <= last:
            found.setdefault(moment, []).append(outcome)
            moment = due_of(each).next_after(moment) or last + 1
    return found


async def test_an_hour_dead(url: str, store: Store) -> None:
    """For every pair of policies: each occurrence of the hour has the outcome that it should."""
    first_ms = SystemClock().now_ms() + 2_000
    every = list(jobs(first_ms))
    for kind in KINDS:
        await builders.register(store, kind, f"orders.{kind}")
    async with schedulers.beside(url, *every) as first:
        await probe.until(lambda: len(first.book.events("run_enqueued")) == len(every), 20.0)
        await probe.found(lambda: end(store, "idle"))
        await probe.until(lambda: len(first.heard) == len(every) / len(KINDS))
        await first.crash()
    await builders.shift(store, ENDS)
    await builders.register(store, "ends", "orders.ends")
    await end(store, "ends")
    await builders.shift(store, DEAD - ENDS)
    for kind in KINDS:
        await builders.register(store, kind, f"orders.{kind}")
    async with schedulers.beside(url, *every, clock=Ahead(DEAD)) as second:
        await probe.until(lambda: second.book.events("group_led"))
        doomed = [each for each in every if (each.tenant, each.overlap) == ("stays", "cancel")]
        await probe.until(lambda: len(second.heard) >= len(doomed))  # none else has ended yet
        back_ms = SystemClock().now_ms() + DEAD
        last_ms = first_ms + 60 * MINUTE
        wrong = {each.ref: "not seen" for each in every}

        async def all_over() -> bool:
            for kind in KINDS:
                await end(store, kind)
            for each in [each for each in every if each.ref in wrong]:
                found = outcomes(await ledger(store, each.ref), each)
                if last_ms in found:
                    wrong[each.ref] = _judge(each, found, first_ms, back_ms)
                    if not wrong[each.ref]:
                        del wrong[each.ref]
            return not wrong

        try:
            await probe.found(all_over, 20.0)
        finally:
            assert {} == wrong


def _judge(each: Job, found: dict[int, list[str]], first_ms: int, back_ms: int) -> str:
    """Say what is not as it should be; nothing if all is."""
    ended = {"idle": 1, "ends": ENDS, "stays": None}[each.tenant]
    past = Past(
        until=back_ms - first_ms,
        busy=back_ms - first_ms,
        ended=None if ended is None else back_ms - first_ms - ended,
    )
    expected = {due_ms: [what] for due_ms, what in reckoned(each, past, back_ms).outcomes.items()}
    seen = {due_ms: what for due_ms, what in found.items() if due_ms > first_ms}
    before = found.get(first_ms)
    usual = ["cancelled" if (each.tenant, each.overlap) == ("stays", "cancel") else "run"]
    return "" if (expected, usual) == (seen, before) else f"{expected}, but {before} {seen}"
