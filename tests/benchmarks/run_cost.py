"""What a run costs the store, with the scripts as they are and with others: one after the other.

    python3 -m tests.benchmarks.run_cost FOLDER

FOLDER holds other `*.lua`, say of an earlier commit. Both take turns on the same server, so that
whatever else the machine does slows both. The figure is the server's own time for scripts.
"""

import asyncio
import sys
from pathlib import Path
from statistics import median

from rota.common import keys, scripts
from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.store import Store
from tests.support import builders
from tests.support.builders import DUE_MS, GROUP, WORKER

ROUNDS, RUNS, BATCH, TENANTS = 30, 2_000, 100, 50
_OWN = scripts.source


def use(folder: Path | None) -> None:
    """Let the scripts be those in `folder`, or our own."""
    scripts.source = (lambda name: (folder / f"{name}.lua").read_text()) if folder else _OWN
    scripts.script.cache_clear()


async def cost(link: Link) -> float:
    """Return microseconds of the server for a run that is enqueued, claimed and completed."""
    await link.command("FLUSHALL")
    store = Store(link)
    await builders.register(store)
    await _through(store, 0, BATCH)  # the scripts are loaded, the tenants known
    before = await _cpu(link)
    for start in range(BATCH, BATCH + RUNS, BATCH):
        await _through(store, start, BATCH)
    return (await _cpu(link) - before) * 1e6 / RUNS


async def _cpu(link: Link) -> float:
    found = await link.command("INFO", "cpu")
    return float(found["used_cpu_user_main_thread"]) + float(found["used_cpu_sys_main_thread"])


async def _through(store: Store, start: int, count: int) -> None:
    due = [(f"t{n % TENANTS}", f"j{n % count}", DUE_MS + n) for n in range(start, start + count)]
    await builders.enqueue(store, *(builders.occurrence(*each) for each in due))
    runs = (await builders.claim(store, count)).runs
    assert count == len(runs)
    await store.exchange(WORKER, [builders.ended(run) for run in runs], [], {})


async def compare(folder: Path) -> None:
    """Print both costs and their ratio."""
    found: dict[Path | None, list[float]] = {folder: [], None: []}
    with EmbeddedStore() as server:
        link = Link(server.url)
        for _ in range(ROUNDS):
            for which, costs in found.items():
                use(which)
                costs.append(await cost(link))
        for which in found:
            use(which)
            await cost(link)
            print(await memory(link))
        await link.close()
    before, after = (median(costs) for costs in found.values())
    ratios = [b / a for a, b in zip(*found.values(), strict=True)]
    print(f"{before:.1f} us before, {after:.1f} us now: {100 * (median(ratios) - 1):+.1f} %")
    print(f"least: {min(found[folder]):.1f} us before, {min(found[None]):.1f} us now")


async def memory(link: Link) -> str:
    """Return what the keys take that there are many of."""
    tenant = await link.command("MEMORY", "USAGE", keys.tenant(GROUP, "t0"))
    stream = await link.command("MEMORY", "USAGE", keys.done(GROUP), "SAMPLES", 0)
    entries = await link.command("XLEN", keys.done(GROUP))
    return f"{tenant} bytes for a tenant, {stream / entries:.0f} for a completion"


if __name__ == "__main__":
    asyncio.run(compare(Path(sys.argv[1])))
