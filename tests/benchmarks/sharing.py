"""How service is divided: between tenants, by weight, between groups, and when somebody comes."""

import asyncio
from pathlib import Path

from tests.benchmarks.figure import Figure, Size, at_least, exactly_once, near
from tests.benchmarks.stage import CLOCK, Stage, Tenant
from tests.support.simulation import jain

_RUNS = {"half-second": 0.05, "five-seconds": 0.5, "minute": 6.0}  # scaled down by ten
_SETTLE = 5  # longest runs until estimates are known, and what was taken before is made up for


async def equal(folder: Path, size: Size) -> list[Figure]:
    """Let six tenants of the same weight have runs of 0.5, 5 and 60 s, scaled down."""
    name = "equal weights"
    tenants = {
        f"{kind}-{n}": seconds * size.unit for kind, seconds in _RUNS.items() for n in range(2)
    }
    async with Stage(
        folder, dict.fromkeys(tenants, Tenant()), workers=3, places=6, lease="2s"
    ) as stage:
        since, until = await _all_busy(stage, tenants, size.seconds)
        await stage.drained()
        record = stage.record()
    given = record.service(since, until)
    lengths = ", ".join(f"{tenants[f'{kind}-0']:g}" for kind in _RUNS)
    spread = ", ".join(f"{given[f'{kind}-0']:.1f}" for kind in _RUNS)
    return [
        Figure(name, f"service of tenants with runs of {lengths} s", f"{spread} s"),
        at_least(name, "Jain index", jain([float(given[t]) for t in tenants]), 0.98),
        at_least(name, "part of all places in use", record.used(since, until), 0.9),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def weighted(folder: Path, size: Size) -> list[Figure]:
    """Let three tenants have weights 1, 2 and 4, the lightest the longest runs."""
    name = "weights 1:2:4"
    weights = {"one": 1, "two": 2, "four": 4}
    runs = {"one": 2.0 * size.unit, "two": 0.8 * size.unit, "four": 0.4 * size.unit}
    tenants = {tenant: Tenant(limits={"weight": weight}) for tenant, weight in weights.items()}
    async with Stage(folder, tenants, workers=3, places=7, lease="2s") as stage:
        since, until = await _all_busy(stage, runs, size.seconds)
        await stage.drained()
        record = stage.record()
    given = record.service(since, until)
    return [
        *(
            near(name, f"share of weight {w}", given[t] / sum(given.values()), w / 7, size.within)
            for t, w in weights.items()
        ),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def joined(folder: Path, size: Size) -> list[Figure]:
    """Let a tenant have the fleet to itself; then two others come."""
    name = "alone, then three"
    run = 0.5 * size.unit
    tenants = dict.fromkeys(("first", "second", "third"), Tenant())
    async with Stage(folder, tenants, workers=3, places=6) as stage:
        since, until = await _all_busy(stage, {"first": run}, size.seconds / 2)
        stage.keep_busy("second", run)
        stage.keep_busy("third", run)
        came = CLOCK.monotonic()
        await asyncio.sleep(size.seconds / 4)
        after = CLOCK.monotonic()
        await stage.drained()
        record = stage.record()
    # What runs when they come is not interrupted: it takes one run until places are free.
    given = record.service(came + run, after)
    return [
        at_least(name, "part of all places that it uses alone", record.used(since, until), 0.95),
        *(
            near(
                name,
                f"share of the {t} afterwards",
                given[t] / sum(given.values()),
                1 / 3,
                size.within,
            )
            for t in tenants
        ),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def between_groups(folder: Path, size: Size) -> list[Figure]:
    """Let two groups of weights 1 and 3, with runs of different lengths, be served by all."""
    name = "groups of weights 1:3"
    tenants = {"light-0": "light", "heavy-0": "heavy", "heavy-1": "heavy"}
    runs = {"light-0": 2.0 * size.unit, "heavy-0": 0.4 * size.unit, "heavy-1": 1.0 * size.unit}
    async with Stage(
        folder,
        {tenant: Tenant(group) for tenant, group in tenants.items()},
        workers=3,
        places=8,
        lease="2s",
        groups={"light": {"weight": 1}, "heavy": {"weight": 3}},
    ) as stage:
        since, until = await _all_busy(stage, runs, size.seconds)
        await stage.drained()
        record = stage.record()
    given = record.service(since, until)
    whole = sum(given.values())
    return [
        near(name, "share of weight 1", given["light-0"] / whole, 0.25, size.within),
        near(name, "share of weight 3", 1 - given["light-0"] / whole, 0.75, size.within),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def _all_busy(stage: Stage, runs: dict[str, float], seconds: float) -> tuple[float, float]:
    """Keep tenants busy for a while; return from when to when it counts."""
    for tenant, each in runs.items():
        stage.keep_busy(tenant, each)
    await asyncio.sleep(_SETTLE * max(runs.values()))
    since = CLOCK.monotonic()
    await asyncio.sleep(seconds)
    return since, CLOCK.monotonic()
