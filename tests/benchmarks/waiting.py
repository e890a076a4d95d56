"""How long quiet tenants wait: beside a flood, and beside runs that hold nearly all places."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from tests.benchmarks.figure import Figure, Size, at_most, exactly_once
from tests.benchmarks.record import quantile
from tests.benchmarks.stage import CLOCK, Stage, Tenant

_QUIET = 50  # tenants
_QUIET_RUN, _QUIET_EVERY = 0.02, 1.0  # seconds that a run takes, and between two of a tenant
_FLOOD_RUN = 0.1  # seconds
_LONG_RUN = 6.0  # seconds: 600 s, scaled down by 100
_SETTLE = 2.0  # seconds until estimates are known


async def flood(folder: Path, size: Size) -> list[Figure]:
    """Let one tenant queue very much beside fifty that have a little to do, all the time."""
    name = f"flood of {size.flood:,}"
    quiet = [f"quiet-{n}" for n in range(_QUIET)]
    tenants = dict.fromkeys([*quiet, "flood"], Tenant())
    async with Stage(folder, tenants, workers=4, places=8) as stage:
        for n, tenant in enumerate(quiet):
            stage.trickle(tenant, _QUIET_RUN, every=_QUIET_EVERY, first=n * _QUIET_EVERY / _QUIET)
        alone = await _looked(stage, quiet, size.seconds)
        await stage.enqueue("flood", [_FLOOD_RUN] * size.flood)
        beside = await _looked(stage, quiet, size.seconds)
        mean = stage.record().mean_run(CLOCK.monotonic() - size.seconds, CLOCK.monotonic())
        used = stage.record().used(CLOCK.monotonic() - size.seconds, CLOCK.monotonic())
        await stage.drained()
        record = stage.record()
    return [
        Figure(name, "wait of 50 quiet tenants alone, p50", _ms(quantile(alone, 50))),
        Figure(name, "the same, p99", _ms(quantile(alone, 99))),
        Figure(name, "beside the flood, p50", _ms(quantile(beside, 50))),
        at_most(
            name,
            "beside the flood, p99",
            quantile(beside, 99),
            1.5 * quantile(alone, 99) + mean,
            f"1.5 x p99 alone + one mean run ({_ms(mean)})",
        ),
        Figure(name, "longest beside the flood", _ms(max(beside))),
        Figure(name, "part of all places in use beside the flood", f"{used:.3f}"),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def beside_long(folder: Path, size: Size) -> list[Figure]:
    """Let one tenant hold all places but one with long runs, beside one with short ones."""
    name = "beside runs of 600 s (6 s)"
    short_run = 0.02
    tenants = {"long": Tenant(limits={"max_concurrency": 11}), "short": Tenant()}
    async with Stage(folder, tenants, workers=3, places=4, lease="2s") as stage:
        stage.trickle("short", short_run, every=0.1, first=0.0)
        alone = await _looked(stage, ["short"], size.seconds / 2)
        stage.keep_busy("long", _LONG_RUN)
        beside = await _looked(stage, ["short"], size.seconds / 2)
        used = stage.record().service(CLOCK.monotonic() - size.seconds / 2, CLOCK.monotonic())
        await stage.drained()
        record = stage.record()
    return [
        Figure(name, "places that long runs held, of 12", f"{used['long'] * 2 / size.seconds:.2f}"),
        Figure(name, "longest wait of the short tenant alone", _ms(max(alone))),
        at_most(
            name,
            "its longest wait with one free place",
            max(beside),
            1.5 * max(alone) + short_run,
            "1.5 x alone + one short run",
        ),
        exactly_once(name, record.runs, record.unwell()),
    ]


async def _looked(stage: Stage, tenants: Collection[str], seconds: float) -> list[float]:
    """Return the waits of what the tenants enqueue in a stretch of time."""
    await asyncio.sleep(_SETTLE)
    since = CLOCK.monotonic()
    await asyncio.sleep(seconds)
    until = CLOCK.monotonic()
    await asyncio.sleep(1.0)  # whoever waited to the end must have begun to be counted
    return stage.record().waits(tenants, since, until)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
