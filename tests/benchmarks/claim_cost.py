"""What a claim costs the store, by how many tenants have something queued."""

from pathlib import Path
from random import Random
from statistics import median

from rota.common.embedded import EmbeddedStore
from rota.common.link import Link
from rota.common.store import Store
from tests.benchmarks.figure import Figure, Size
from tests.support import builders

_TENANTS = (10, 100, 1_000, 10_000)
_QUEUED = 20_000  # runs in all, so that no tenant runs out
_BATCH = 500
_ROUNDS = 3
_FLAT = 1.5  # the dearest beside the cheapest


async def claims(_: Path, size: Size) -> list[Figure]:
    """Claim one run after the other, and read from the store how long its processor took."""
    costs: dict[int, list[float]] = {tenants: [] for tenants in _TENANTS}
    with EmbeddedStore() as server:
        link = Link(server.url)
        for _round in range(_ROUNDS):
            for tenants, found in costs.items():
                found.append(await _cost(Store(link), tenants, size.claims))
        await link.close()
    middle = {tenants: median(found) for tenants, found in costs.items()}
    ratio = max(middle.values()) / min(middle.values())
    name = "cost of a claim"
    return [
        *(Figure(name, f"with {t:,} tenants", f"{us:.0f} us") for t, us in middle.items()),
        Figure(name, "dearest : cheapest", f"{ratio:.2f}", f"<= {_FLAT}", ratio <= _FLAT),
    ]


async def _cost(store: Store, tenants: int, count: int) -> float:
    """Return microseconds of the store's processor for each of so many claims."""
    await store.link.command("FLUSHALL")
    await builders.register(store)
    runs = [builders.occurrence(f"t{n % tenants}", f"job-{n}") for n in range(_QUEUED)]
    Random(tenants).shuffle(runs)
    for start in range(0, _QUEUED, _BATCH):
        await builders.enqueue(store, *runs[start : start + _BATCH])
    await builders.claim(store)  # the first one also loads the script
    await store.link.command("CONFIG", "RESETSTAT")
    for _ in range(count):
        assert 1 == len((await builders.claim(store)).runs)
    stats = await store.link.command("INFO", "commandstats")
    spent = stats["cmdstat_evalsha"]
    assert count == spent["calls"]
    return float(spent["usec"]) / count
