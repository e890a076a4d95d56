"""The numbers of a scheduler and of a worker say what they did and what they see."""

from rota.common.command import Supervised
from rota.common.pauses import Pauses
from rota.common.store import Store
from rota.worker.context import Context
from rota.worker.registry import Jobs
from tests.support import builders, probe, prometheus, schedulers, workers
from tests.support.builders import HANDLER
from tests.support.definitions import job
from tests.support.prometheus import Metric
from tests.support.schedulers import RARE


def of(daemon: Supervised) -> dict[str, Metric]:
    """Return the numbers as a reader sees them."""
    return prometheus.read(f"{daemon.metrics()}\n")


async def test_scheduler(url: str, store: Store) -> None:
    """One reads what became of occurrences, how late they were, and what is out of order."""
    often = job(every="100ms", pause_after_failures=1)
    rare = [job(f"beta/j{n}", every=RARE, fresh_within_ms=1) for n in range(3)]
    await Pauses(store.link).pause("beta", by="ann@ops", why="")
    await Pauses(store.link).pause("gone/job", by="ann@ops", why="")
    async with schedulers.running(url, often, *rare) as rig:
        run = await schedulers.claimed(store)
        await probe.until(lambda: rig.book.events("occurrence_skipped"))
        await probe.until(lambda: 1 == of(rig.daemon)["rota_runs_in_flight"].value())
        await builders.complete(store, run, "dead")
        await probe.until(lambda: 1 == of(rig.daemon)["rota_breakers_open"].value())
        await probe.until(
            lambda: of(rig.daemon)["rota_occurrences_total"].value(outcome="breaker") > 1
        )
        found = of(rig.daemon)

    assert 4 == found["rota_jobs"].value()
    assert 3 == found["rota_jobs_paused"].value()
    assert 0 == found["rota_jobs_stale"].value()  # as they are paused
    assert (1, 1, 1) == tuple(
        found[name].value() for name in ("rota_ready", "rota_groups_led", "rota_config_revision")
    )
    assert 1 == found["rota_occurrences_total"].value(outcome="dead")
    assert 1 <= found["rota_occurrences_total"].value(outcome="skipped")
    assert 0 == found["rota_occurrences_total"].value(outcome="succeeded")
    assert (
        1 == found["rota_enqueued_total"].value() == found["rota_lateness_seconds"].value("_count")
    )
    assert 1 == found["rota_lateness_seconds"].value("_bucket", le="10")


async def test_standby(url: str, store: Store) -> None:
    """Who leads nothing counts no jobs, so that the sum over all schedulers is right."""
    each = job(every=RARE)
    async with schedulers.running(url, each) as first, schedulers.beside(url, each) as second:
        numbers = [of(rig.daemon)["rota_jobs"].value() for rig in (first, second)]

    assert [1, 0] == numbers


async def test_worker(url: str, store: Store) -> None:
    """One reads how attempts ended, how long they took, and how much of the worker is used."""
    jobs = Jobs()

    @jobs.handler(HANDLER)
    async def work(ctx: Context) -> None:
        if ctx.job == "fails":
            raise ValueError(ctx.job)

    runs = [workers.run_of("works"), workers.run_of("fails", attempts=1)]
    await builders.enqueue(store, *runs)
    async with workers.working(url, jobs, concurrency=7) as worker:
        await workers.told(store, 2)
        await probe.until(lambda: 0 == of(worker)["rota_slots_busy"].value())
        found = of(worker)

    assert (7, 1) == (found["rota_slots"].value(), found["rota_ready"].value())
    assert [1, 1, 0] == [
        found["rota_attempts_total"].value(outcome=outcome)
        for outcome in ("succeeded", "dead", "lost")
    ]
    assert 2 == found["rota_attempt_seconds"].value("_count")
