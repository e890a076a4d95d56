"""Store: what Redis spends on a run, from enqueue to completion, by how many go in one script."""

import argparse
import asyncio
import sys

from rota.common import keys
from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.run import Claimed
from rota.common.store import Store
from tests.benchmarks import page
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, WORKER

_BATCHES = (1, 10, 100, 250)
_MOST = max(_BATCHES)
_TENANTS, _JOBS = 50, 3_000
_RUNS = (300, 2_500)  # at least, and at most, in one round
_TURNS = 100  # in one round, unless these are too few or too many runs


def main() -> None:
    """Measure; each figure is user and system time of the server's main thread."""
    parser = argparse.ArgumentParser(prog=sys.argv[0], description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    head = (
        "runs in a script",
        "enqueue us/run",
        "turn us/run",
        "us/run in all",
        "runs/s of a core",
    )
    rows, size = asyncio.run(_rows(rounds))
    print(f"{page.machine()}\n\n{page.table(head, rows)}\n\nA run in flight: {size:,} bytes")


async def _rows(rounds: int) -> tuple[list[tuple[str, ...]], int]:
    found: dict[int, list[tuple[float, float]]] = {batch: [] for batch in _BATCHES}
    with EmbeddedStore() as server:
        link = Link(server.url)
        for _ in range(rounds):
            for batch, costs in found.items():
                costs.append(await _costs(link, batch))
        size = await _size(link)
        await link.close()
    rows: list[tuple[str, ...]] = []
    for batch, costs in found.items():
        enqueue, turn = ([cost[k] for cost in costs] for k in range(2))
        sums = [sum(cost) for cost in costs]
        rate = [1e6 / cost for cost in sums]
        columns = (page.spread(enqueue, 1), page.spread(turn, 1), page.spread(sums, 1))
        rows.append((f"{batch:,}", *columns, page.spread(rate)))
    return rows, size


async def _costs(link: Link, batch: int) -> tuple[float, float]:
    """Return microseconds of the server for a run: to enqueue it, to claim and complete it."""
    await link.command("FLUSHALL")
    store = Store(link)
    await builders.register(store)
    count = min(max(_TURNS * batch, _RUNS[0]), _RUNS[1]) // batch * batch
    held = await _known(store)
    begun = await _cpu(link)
    for start in range(0, count, batch):
        await _enqueue(store, _JOBS + start, batch)
    enqueued = await _cpu(link)
    for _ in range(count // batch):
        held = await _turn(store, held, batch)
        assert batch == len(held)
    ended = await _cpu(link)
    return (enqueued - begun) * 1e6 / count, (ended - enqueued) * 1e6 / count


async def _known(store: Store) -> list[Claimed]:
    """Let each job run once: the usual job has. Return what is held at the end."""
    held: list[Claimed] = []
    for start in range(0, _JOBS, _MOST):
        await _enqueue(store, start, _MOST)
        held = await _turn(store, held, _MOST)
    return await _turn(store, held, 1)


async def _enqueue(store: Store, start: int, count: int) -> None:
    numbers = range(start, start + count)
    due = [(f"t{n % _TENANTS}", f"j{n % _JOBS}", DUE_MS + n) for n in numbers]
    answers = await builders.enqueue(store, *(builders.occurrence(*each) for each in due))
    assert {"queued"} == {word for word, _ in answers}


async def _turn(store: Store, held: list[Claimed], count: int) -> list[Claimed]:
    ended = [builders.ended(run) for run in held]
    words, claims = await store.exchange(WORKER, ended, [], {GROUP: count})
    assert {"completed"} >= set(words.values())
    return claims[GROUP].runs


async def _cpu(link: Link) -> float:
    found = await link.command("INFO", "cpu")
    return float(found["used_cpu_user_main_thread"]) + float(found["used_cpu_sys_main_thread"])


async def _size(link: Link) -> int:
    """Return bytes of the record of a run that is being executed."""
    store = Store(link)
    await link.command("FLUSHALL")
    await builders.register(store)
    await _enqueue(store, 0, 1)
    (run,) = await _turn(store, [], 1)
    return int(await link.command("MEMORY", "USAGE", keys.run(GROUP, run.job_id)))
