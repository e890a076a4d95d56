"""A configuration is held against what the running workers serve."""

from collections.abc import Iterator
from typing import Any

import pytest

from rota.common import keys
from rota.common.catalog import Catalog
from rota.common.job import Phase
from rota.common.registration import Registration
from rota.common.store import Store
from rota.common.worker_info import HandlerInfo
from rota.scheduler import live_check
from rota.scheduler.live_check import Mismatch
from rota.worker import Context, Jobs, TaskSpec
from tests.support import builders
from tests.support.builders import GROUP, WORKER
from tests.support.definitions import config, job

handlers = Jobs()


@handlers.handler("orders.import")
async def import_orders(ctx: Context, source: str, limit: int = 100) -> None:
    """Take one argument that must be given, and one that may."""


@handlers.handler("db.vacuum")
def vacuum(ctx: Context) -> None:
    """Take nothing."""


@handlers.planner("orders.plan", tasks="orders.part")
def plan(ctx: Context) -> Iterator[TaskSpec]:
    """Plan tasks for a handler that nobody serves."""
    yield TaskSpec()


INFOS: list[HandlerInfo] = [handler.info() for handler in handlers.handlers.values()]


async def compare(store: Store, handler: str, **over: Any) -> list[Mismatch]:
    """Compare one job with a worker of group `gold` that serves `handlers`."""
    catalog = Catalog(store.link)
    await Registration(store).register(builders.worker_info(groups=(GROUP,), handlers=INFOS))
    each = job(every="1h", handler=handler, **over)
    return await live_check.compare(config(each), catalog)


@pytest.mark.parametrize(
    ("handler", "args"),
    [
        ("orders.import", {"source": "ftp"}),
        ("orders.import", {"source": "ftp", "limit": 5}),
        ("db.vacuum", {}),
    ],
)
async def test_fits(store: Store, handler: str, args: dict[str, Any]) -> None:
    """A job whose handler is served and takes its arguments is no mismatch."""
    found = await compare(store, handler, args=args)

    assert [] == found


async def test_args_of_a_phase(store: Store) -> None:
    """Each phase is held against the handler with its own args, not with the job's."""
    good = Phase(handler="orders.import", args={"source": "ftp"})
    bad = Phase(handler="orders.import", args={"source": 5})
    (found,) = await compare(store, "db.vacuum", phases=(good, bad))

    assert ("orders.import", "args.source: 5 is not of type 'string'") == (
        found.handler,
        found.reason,
    )


async def test_unserved(store: Store) -> None:
    """A handler that no worker serves is told with the job and its group."""
    (found,) = await compare(store, "mail.send")

    assert ("acme/import", "mail.send") == (found.job, found.handler)
    assert "no worker in group gold serves this handler" == found.reason


async def test_served_in_another_group(store: Store) -> None:
    """A handler that is served in another group only is not served."""
    (found,) = await compare(store, "db.vacuum", group="silver")

    assert "group silver" in found.reason


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"source": 5}, ["args.source", "5", "string"]),
        ({"source": "ftp", "limit": "many"}, ["args.limit", "many", "integer"]),
        ({}, ["source", "required"]),
        ({"source": "ftp", "sauce": 1}, ["sauce"]),
    ],
)
async def test_wrong_arguments(store: Store, args: dict[str, Any], words: list[str]) -> None:
    """An argument that is wrong, missing or unknown is named, with what is expected."""
    (found,) = await compare(store, "orders.import", args=args)

    assert all(word in found.reason for word in words), found.reason
    assert found.reason.startswith("args")


async def test_each_job(store: Store) -> None:
    """Of many jobs just those that do not fit are told, in the order of the configuration."""
    catalog = Catalog(store.link)
    await Registration(store).register(builders.worker_info(groups=(GROUP,), handlers=INFOS))
    jobs = [
        job("acme/a", every="1h", handler="db.vacuum"),
        job("acme/b", every="1h", handler="db.vacuum", args={"x": 1}),
        job("bolt/c", every="1h", handler="nothing"),
    ]
    found = await live_check.compare(config(*jobs), catalog)

    assert ["acme/b", "bolt/c"] == [mismatch.job for mismatch in found]


async def test_silent_worker(store: Store) -> None:
    """A worker that has missed its registrations serves nothing any more."""
    await builders.register(store)
    await store.link.command("ZINCRBY", keys.workers(GROUP), -12_000, WORKER)
    (found,) = await live_check.compare(config(job(every="1h")), Catalog(store.link))

    assert "no worker in group gold serves this handler" == found.reason


async def test_phases_and_tasks(store: Store) -> None:
    """Each handler that a job needs is looked for: of phases, for failures, and of tasks."""
    gone = Phase(handler="no.such")
    found = [
        *await compare(store, "db.vacuum", phases=(gone,), on_failure=gone),
        *await compare(store, "orders.plan"),
    ]

    assert [
        ("no.such", f"no worker in group {GROUP} serves this handler"),
        ("orders.plan", f"no worker in group {GROUP} serves orders.part, which is to do its tasks"),
    ] == [(each.handler, each.reason) for each in found]
