"""`rota.testing`: what a user's test does with it, on the real store and with the real parts."""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from rota.common.embedded import EmbeddedStore
from rota.common.errors import NotFound, Refused, StoreUnavailable, UsageError
from rota.common.ledger import Attempts, Stretch
from rota.scheduler.config import InvalidConfig
from rota.testing import Rota, Stuck
from rota.worker import Context, Fatal, Jobs, TaskSpec
from tests.support import probe

START = datetime(2026, 1, 1, tzinfo=UTC)


class Shop:
    """Handlers that keep what they did, and the time when they did it."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.rota: Rota | None = None
        self.seen: list[str] = []  # tenant and time
        self.jobs.handler("orders.import")(self.import_orders)
        self.jobs.handler("orders.long")(self.long)
        self.jobs.handler("orders.child", isolation="process")(self.child)
        self.jobs.planner("orders.plan", tasks="orders.task")(self.plan)
        self.jobs.handler("orders.task")(self.task)

    async def import_orders(self, ctx: Context, source: str = "ftp", fails: int = 0) -> Any:
        """Fail so often, then return what it was called with."""
        self.seen.append(f"{ctx.tenant}/{ctx.job} {self.time}")
        if source == "none":
            raise Fatal("there is no such source")
        if ctx.attempt <= fails:
            raise ValueError(f"attempt {ctx.attempt} fails")
        return {"source": source, "orders": 12}

    async def long(self, ctx: Context, hours: int) -> None:
        """Take so many hours of the test's clock."""
        assert self.rota is not None
        await self.rota.sleep(f"{hours}h")
        self.seen.append(f"{ctx.tenant}/{ctx.job} {self.time}")

    def child(self, ctx: Context) -> str:
        """Would run in a child process."""
        return ctx.handler

    async def plan(self, ctx: Context, count: int = 5, dead: int = 0) -> AsyncIterator[TaskSpec]:
        """Plan tasks, the last ones of which fail if there are `dead` ones."""
        for number in [*range(count), *range(100, 100 + dead)]:
            yield TaskSpec(key=str(number), size=1, args={"number": number})

    async def task(self, ctx: Context, parts: list[dict[str, int]]) -> None:
        """Keep which parts were done; those from 100 on can't be."""
        if parts[0]["number"] >= 100:
            raise Fatal(f"there is no part {parts[0]['number']}")
        self.seen += [f"part {part['number']}" for part in parts]

    @property
    def time(self) -> str:
        """Return the test's time."""
        return f"{self.rota.now:%d %H:%M}" if self.rota else ""


def config(jobs: dict[str, Any], **tenant: Any) -> dict[str, Any]:
    """Return the configuration of one tenant."""
    return {
        "groups": {"gold": {}},
        "tenants": {"acme": {"group": "gold", "jobs": jobs} | tenant},
    }


@asynccontextmanager
async def shop(
    server: EmbeddedStore, jobs: Any, **options: Any
) -> AsyncIterator[tuple[Rota, Shop]]:
    """Return a Rota with the shop's handlers; `jobs` are those of a tenant, or a configuration."""
    made = Shop()
    given = jobs if isinstance(jobs, str) or "tenants" in jobs else config(jobs)
    async with Rota(given, made.jobs, store=server, **options) as made.rota:
        yield made.rota, made


NEVER = {"handler": "orders.import", "at": "2030-01-01 00:00"}


async def test_one_run(server: EmbeddedStore) -> None:
    """A job is run inline, with its arguments, and tells what it returned."""
    async with shop(server, {"import": NEVER | {"args": {"source": "ftp"}}}) as (rota, _):
        run = await rota.run("acme/import")
        other = await rota.run("acme/import", args={"source": "api"})

        assert ("succeeded", 1, None) == (run.outcome, run.attempts, run.error)
        assert {"source": "ftp", "orders": 12} == run.result
        assert "api" == other.check().result["source"]
        assert [run, other] == rota.runs("acme/import") == rota.runs()


async def test_attempts(server: EmbeddedStore) -> None:
    """A failed attempt is repeated after its rest, which passes on the test's clock."""
    retry = {"retry": {"attempts": 3, "backoff": "1h", "max_backoff": "1h"}}
    async with shop(server, {"import": NEVER | retry}) as (rota, made):
        run = await rota.run("acme/import", args={"fails": 2})

        assert ("succeeded", 3) == (run.outcome, run.attempts)
        assert ["attempt 1 fails", "attempt 2 fails"] == [each.message for each in run.errors]
        assert 3600 <= (rota.now - START).total_seconds() <= 7200
        assert 3 == len(set(made.seen))


async def test_failures_are_shown(server: EmbeddedStore) -> None:
    """A run that fails for good shows the handler's traceback."""
    async with shop(server, {"import": NEVER}) as (rota, _):
        run = await rota.run("acme/import", args={"source": "none"})

        assert run.error is not None
        assert ("dead", "Fatal") == (run.outcome, run.error.kind)
        with pytest.raises(AssertionError, match=r'in import_orders\n.*raise Fatal\("there is no'):
            run.check()


async def test_a_dead_task_is_shown(server: EmbeddedStore) -> None:
    """A run with dead tasks shows the traceback of the first of them, and how many there are."""
    jobs = {"split": {"handler": "orders.plan", "cron": "0 0 2 1 *", "args": {"dead": 3}}}
    async with shop(server, jobs) as (rota, _):
        run = await rota.run("acme/split")

        assert run.dead_task is not None
        assert f"{run.job_id}#1.6" == run.dead_task.job_id
        with pytest.raises(AssertionError) as raised:
            run.check()
        text = str(raised.value)
        assert "TasksFailed: 3 of 8 tasks are dead" in text
        assert ["there is no part 100"] == re.findall("Fatal: (.*)", text)
        assert ", in task\n" in text
        assert (await rota.run("acme/split", args={"dead": 0})).check().dead_task is None


async def test_arguments_are_checked(server: EmbeddedStore) -> None:
    """An argument that the handler doesn't take is refused as it is by a worker."""
    async with shop(server, {"import": NEVER}) as (rota, _):
        run = await rota.run("acme/import", args={"sourc": "ftp"})

        assert run.error is not None
        assert "unknown argument `sourc`" in run.error.message


async def test_time_passes_in_order(server: EmbeddedStore) -> None:
    """What falls due is run when it is due, in order, and ends up in the ledger."""
    jobs = {
        "import": {"handler": "orders.import", "cron": "0 */6 * * *"},
        "clean": {"handler": "orders.import", "cron": "30 1 * * *", "timezone": "Asia/Tokyo"},
        "count": {"handler": "orders.import", "on": {"completed": "clean"}},
    }
    async with shop(server, jobs) as (rota, made):
        runs = await rota.advance("1d")

        expected = "import 01 06:00, import 01 12:00, clean 01 16:30, count 01 16:30"
        expected += ", import 01 18:00, import 02 00:00"
        assert [f"acme/{each}" for each in expected.split(", ")] == made.seen
        assert made.seen == [f"{run.ref} {run.ended:%d %H:%M}" for run in runs]
        assert [datetime(2026, 1, 1, 16, 30, tzinfo=UTC)] == [
            run.due for run in runs if run.job == "clean"
        ]
        (entry,) = await rota.ledger("acme/clean")
        assert isinstance(entry, Attempts)
        assert ("succeeded", runs[2].job_id) == (entry.outcome, entry.job_id)
        assert datetime(2026, 1, 2, 6, tzinfo=UTC) == rota.next("acme/import")


async def test_fixed_delay(server: EmbeddedStore) -> None:
    """A job with a fixed delay counts it from the end of its run, which may take its time."""
    long = {"handler": "orders.long", "after": "2h", "args": {"hours": 3}}
    async with shop(server, {"long": long}) as (rota, _):
        runs = await rota.advance("1d")

        ends = [run.ended for run in runs]
        assert {5.0} == {(b - a).total_seconds() / 3600 for a, b in pairwise(ends)}


async def test_overlap(server: EmbeddedStore) -> None:
    """While a run goes on the next occurrences are skipped, and the ledger says so."""
    long = {"handler": "orders.long", "cron": "0 * * * *", "args": {"hours": 3}}
    async with shop(server, {"long": long}) as (rota, made):
        await rota.advance("5h30m")

        assert ["acme/long 01 04:00"] == made.seen
        kinds = [type(entry) for entry in await rota.ledger("acme/long")]
        assert {Attempts, Stretch} == set(kinds)
        with pytest.raises(Refused, match="is not over"):
            await rota.run("acme/long")


async def test_overlap_cancel(server: EmbeddedStore) -> None:
    """A handler that sleeps is cancelled when the next occurrence takes its place."""
    long = {"handler": "orders.long", "cron": "0 * * * *", "args": {"hours": 3}}
    async with shop(server, {"long": long | {"overlap": "cancel"}}) as (rota, made):
        runs = await rota.advance("3h")

        assert ["cancelled", "cancelled"] == [run.outcome for run in runs]
        assert [] == made.seen


async def test_phases_and_tasks(server: EmbeddedStore) -> None:
    """A planner's tasks are all carried out, then the next phase, within one run."""
    jobs = {
        "bill": {
            "at": "2030-01-01 00:00",
            "phases": [{"handler": "orders.plan"}, {"handler": "orders.import"}],
        }
    }
    async with shop(server, jobs) as (rota, made):
        run = await rota.run("acme/bill", args={})

        run.check()
        assert {f"part {n}" for n in range(5)} == set(made.seen[:-1])
        assert "acme/bill 01 00:00" == made.seen[-1]


async def test_breakers(server: EmbeddedStore) -> None:
    """A job whose runs die rests, and is tried again, at the test's time."""
    bad = {"handler": "orders.import", "cron": "*/10 * * * *", "args": {"source": "none"}}
    jobs = {"bad": bad | {"pause_after_failures": 2, "probe_after": "1h"}}
    async with shop(server, jobs) as (rota, _):
        runs = await rota.advance("2h")

        assert ["00:10", "00:20", "01:20"] == [f"{run.ended:%H:%M}" for run in runs]
        assert any(entry.outcome == "breaker" for entry in await rota.ledger("acme/bad"))


async def test_rates(server: EmbeddedStore) -> None:
    """A tenant's rate holds at the test's time."""
    jobs = {name: {"handler": "orders.import", "cron": "0 1 * * *"} for name in ("a", "b", "c")}
    async with shop(server, config(jobs, rate_limit="1/h")) as (rota, _):
        runs = await rota.advance("5h")

        assert ["01:00", "02:00", "03:00"] == [f"{run.ended:%H:%M}" for run in runs]


async def test_the_same_each_time(server: EmbeddedStore) -> None:
    """The same story told twice gives the same runs, to the millisecond."""
    flaky = {"handler": "orders.import", "every": "1h", "args": {"fails": 1}}
    stories = []
    for _ in range(2):
        async with shop(server, {"flaky": flaky, "import": NEVER}) as (rota, _):
            await rota.run("acme/import", args={"fails": 1})
            stories.append(await rota.advance("1d"))

    assert 24 == len(stories[0])
    assert stories[0] == stories[1]


async def test_a_year(server: EmbeddedStore) -> None:
    """A year of daily jobs runs each day at its local time, over the changes of clocks."""
    daily = {"handler": "orders.import", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    async with shop(server, {"daily": daily}, start="2026-01-01T00:00+01:00") as (rota, _):
        runs = await rota.advance("365d")

        assert 365 == len(runs)
        assert {"02:00", "01:00"} == {f"{run.ended:%H:%M}" for run in runs}


async def test_calls(server: EmbeddedStore) -> None:
    """A call of a client is carried out while it is awaited; so is one that is tried again."""
    async with shop(server, {"import": NEVER}) as (rota, _):
        call = rota.client.call("orders.import", tenant="acme", source="api")
        again = rota.client.call("orders.import", tenant="acme", attempts=2, fails=1)

        assert {"source": "api", "orders": 12} == await rota.serving(call)
        assert {"source": "ftp", "orders": 12} == await rota.serving(again)
        assert rota.now > START


async def test_a_handler_that_calls(server: EmbeddedStore) -> None:
    """A handler may call others, if there is a place for two."""
    made = Shop()

    @made.jobs.handler("orders.both")
    async def both(ctx: Context) -> Any:
        return await rota.client.call("orders.import", tenant=ctx.tenant, source="sub")

    jobs = {"both": {"handler": "orders.both", "at": "2030-01-01 00:00"}}
    async with Rota(config(jobs), made.jobs, store=server, concurrency=2) as rota:
        run = await rota.run("acme/both")

        assert "sub" == run.check().result["source"]


async def test_child_processes_are_spared(server: EmbeddedStore) -> None:
    """A handler for child processes is called in the test's process, where it can be patched."""
    jobs = {"child": {"handler": "orders.child", "at": "2030-01-01 00:00"}}
    async with shop(server, jobs) as (rota, _):
        assert "orders.child" == (await rota.run("acme/child")).result


async def test_the_time_of_a_triggered_run(server: EmbeddedStore) -> None:
    """A run that the test asks for is due when it was asked for, for its handler and the test."""
    made, seen = Shop(), []
    made.jobs.handler("orders.due")(lambda ctx: seen.append(ctx.due))
    jobs = {"due": {"handler": "orders.due", "at": "2030-01-01 00:00"}}
    async with Rota(config(jobs), made.jobs, store=server) as rota:
        await rota.advance("1h30m")
        first, second = await rota.run("acme/due"), await rota.run("acme/due")

        assert [START + timedelta(minutes=90), first.due] == [first.due, seen[0]]
        assert [START + timedelta(minutes=90, milliseconds=1), second.due] == [second.due, seen[1]]


@pytest.mark.parametrize(
    "job",
    [
        {"handler": "nobody.serves"},
        {"phases": [{"handler": "orders.import"}, {"handler": "nobody.serves"}]},
        {"handler": "orders.fan"},  # its tasks
    ],
)
async def test_a_handler_that_nobody_has(server: EmbeddedStore, job: dict[str, Any]) -> None:
    """A run that can't end is not begun: its handler is named at once, and no time passes."""
    made = Shop()
    made.jobs.planner("orders.fan", tasks="nobody.serves")(made.plan)
    jobs = {"odd": {"cron": "0 3 * * *", **job}}
    async with Rota(config(jobs), made.jobs, store=server) as rota:
        with pytest.raises(NotFound, match=r"acme/odd: no handler is named nobody\.serves in "):
            await rota.run("acme/odd")

        assert START == rota.now
        assert [] == made.seen


async def test_what_never_ends(server: EmbeddedStore) -> None:
    """A run that waits for a handler for failures that nobody has is told of, and why."""
    failing = {"handler": "orders.import", "args": {"source": "none"}}
    jobs = {"odd": {"at": "2030-01-01 00:00", **failing, "on_failure": "nobody.serves"}}
    async with shop(server, jobs) as (rota, _):
        with pytest.raises(Stuck, match=r"waits: no handler .* is registered: nobody\.serves"):
            await rota.run("acme/odd")


async def test_a_handler_that_hangs(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that waits for what never comes does not hold up the tests for ever."""
    monkeypatch.setattr("rota.testing.bench._PATIENCE", 0.05)
    made = Shop()

    @made.jobs.handler("orders.hang")
    async def hang(ctx: Context) -> None:
        await asyncio.Event().wait()

    jobs = {"hang": {"handler": "orders.hang", "at": "2030-01-01 00:00"}}
    async with Rota(config(jobs), made.jobs, store=server) as rota:
        with pytest.raises(Stuck, match=r"acme/hang:.* has not ended in 0.05 real seconds"):
            await rota.run("acme/hang")


async def test_another_configuration(server: EmbeddedStore) -> None:
    """A configuration that is applied later holds from then on."""
    async with shop(server, {"import": NEVER}) as (rota, made):
        await rota.advance("1d")
        await rota.apply(config({"new": {"handler": "orders.import", "cron": "0 12 * * *"}}))
        await rota.advance("1d")

        assert ["acme/new 02 12:00"] == made.seen
        with pytest.raises(NotFound, match="there are acme/new"):
            await rota.run("acme/import")


async def test_texts(server: EmbeddedStore) -> None:
    """A configuration may be text; what is wrong with it is shown with its line."""
    text = (
        "groups: {gold: {}}\ntenants:\n  acme: {group: gold, jobs: {a: {handler: x, evry: 1h}}}\n"
    )
    with pytest.raises(InvalidConfig, match=r"(?s)evry.*\(text\):3:"):
        Rota(text, Jobs(), store=server)
    async with shop(server, text.replace("evry", "every").replace("x,", "orders.import,")) as given:
        assert 24 == len(await given[0].advance("1d"))


async def test_one_at_a_time(server: EmbeddedStore) -> None:
    """Time is moved by one at a time, and never back; only handlers sleep."""
    long = {"handler": "orders.long", "at": "2030-01-01 00:00", "args": {"hours": 1}}
    async with shop(server, {"long": long}) as (rota, _):
        both = rota.run("acme/long"), rota.advance("1h")
        run, refused = await asyncio.gather(*both, return_exceptions=True)

        assert "succeeded" == getattr(run, "outcome", run)
        assert "one `run` or `advance` at a time" in str(refused)
        with pytest.raises(UsageError, match="2025-12-31 is past: it is 2026-01-01"):
            await rota.advance_to("2025-12-31")
        with pytest.raises(UsageError, match="only an async handler can sleep"):
            await rota.sleep("1h")


async def test_stores_of_their_own() -> None:
    """Without a store each has one of its own; two in one process know nothing of each other."""
    made = Shop()
    async with (
        Rota(config({"import": NEVER}), made.jobs) as one,
        Rota(config({"import": NEVER}), made.jobs) as other,
    ):
        await one.run("acme/import")

        assert one.url != other.url
        assert [] == other.runs()


async def test_a_thread_that_hangs(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain function that hangs fails the test, too, and is not waited for."""
    monkeypatch.setattr("rota.testing.bench._PATIENCE", 0.05)
    monkeypatch.setattr("rota.testing.bench._LAST_WORDS", 0.05)
    made, go = Shop(), threading.Event()
    made.jobs.handler("orders.hang")(lambda ctx: go.wait())
    jobs = {"hang": {"handler": "orders.hang", "at": "2030-01-01 00:00"}}
    try:
        with pytest.raises(Stuck, match=r"acme/hang:.* has not ended"):
            async with Rota(config(jobs), made.jobs, store=server) as rota:
                await rota.run("acme/hang")
    finally:
        go.set()
    await probe.until(lambda: 1 == len(asyncio.all_tasks()))  # the thread ends now, no earlier


async def test_no_store() -> None:
    """A store that was not started is told of, and nothing is left behind."""
    with pytest.raises(StoreUnavailable):
        async with Rota(config({"import": NEVER}), Shop().jobs, store=EmbeddedStore()):
            pass


@pytest.fixture(autouse=True)
def _no_task_left(runner: asyncio.Runner) -> Iterator[None]:
    """No task goes on behind a Rota."""
    yield
    assert set() == asyncio.all_tasks(runner.get_loop())
