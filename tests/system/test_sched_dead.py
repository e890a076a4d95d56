"""`sched cancel` and `sched dead` as people and programs meet them."""

from typing import Any

import pytest

from rota.common.catalog import Catalog
from rota.common.message import Failure
from rota.common.run import Ended
from rota.common.state import State
from rota.common.store import Store
from tests.support import builders, workers
from tests.support.builders import GROUP
from tests.support.definitions import job
from tests.system.test_sched_cli import sched

pytestmark = pytest.mark.system


async def bury(store: Store, name: str, kind: str = "Timeout", **args: Any) -> str:
    """Make a dead letter of the job `acme/NAME`; return its job_id."""
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    await builders.register(store)
    run = workers.run_of(name, args=args)
    await builders.enqueue(store, run)
    claimed = (await builders.claim(store)).runs[0]
    failure = Failure(kind=kind, message="too slow\nby far", traceback="line 1\nline 2")
    told = builders.completion(claimed, "dead", error=failure)
    await store.exchange("w1", [Ended(claimed, "dead", told, b"")], [], {})
    return run.job_id


async def test_cancel(url: str, store: Store) -> None:
    """A run that waits is cancelled at once; the second time the command says that it is over."""
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    run = (await builders.seed(store, State.QUEUED)).run
    done = await sched("cancel", run.job_id, "-o", "json", url=url)
    again = await sched("cancel", run.job_id, url=url)

    assert (0, {"job_id": run.job_id, "state": "cancelled"}) == (done.code, done.data)
    assert (6, f"not cancelled: {run.job_id} is over\n") == (again.code, again.err)


async def test_cancel_running(url: str, store: Store) -> None:
    """Of a running run the command says that it is being cancelled."""
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    run = (await builders.seed(store, State.RUNNING)).run
    done = await sched("cancel", run.job_id, url=url)

    assert (0, f"{run.job_id}  cancelling\n") == (done.code, done.out)


@pytest.mark.parametrize(("job_id", "code"), [("acme/import:20260101T000000Z", 5), ("acme", 2)])
async def test_cancel_nothing(url: str, store: Store, job_id: str, code: int) -> None:
    """A run that does not exist is not found, and what is no job_id is a usage error."""
    assert code == (await sched("cancel", job_id, url=url)).code


async def test_list(url: str, store: Store) -> None:
    """Dead letters are listed with their error, and only those that the filters take."""
    slow = await bury(store, "slow")
    await bury(store, "wrong", "ValueError")
    both = await sched("dead", "list", "-o", "json", url=url)
    one = await sched("dead", "list", "--error", "timeout", "--newer-than", "1h", url=url)
    none = await sched("dead", "list", "--older-than", "1h", "-o", "json", url=url)

    assert {"Timeout", "ValueError"} == {letter["error"]["kind"] for letter in both.data}
    assert [slow] == [x["job_id"] for x in both.data if x["error"]["kind"] == "Timeout"]
    assert slow in one.out
    assert "too slow" in one.out
    assert "by far" not in one.out
    assert "wrong" not in one.out
    assert [] == none.data


async def test_show(url: str, store: Store) -> None:
    """One dead letter is shown with its payload and the traceback of its error."""
    job_id = await bury(store, "slow", source="ftp")
    told = await sched("dead", "show", job_id, url=url)
    data = (await sched("dead", "show", job_id, "-o", "json", url=url)).data

    assert "Timeout: too slow" in told.out
    assert "line 2" in told.out
    assert {"source": "ftp"} == data["request"]["args"]


async def test_replay(url: str, store: Store) -> None:
    """A dead letter that is named is replayed without a question; a busy one is refused."""
    free, busy = await bury(store, "free"), await bury(store, "busy")
    await builders.enqueue(store, workers.run_of("busy")._replace(job_id="acme/busy:2", due_ms=0))
    done = await sched("dead", "replay", free, url=url)
    refused = await sched("dead", "replay", busy, "-o", "json", url=url)

    assert (0, f"{free}\n") == (done.code, done.out)
    assert State.QUEUED is await builders.state_of(store, free)
    assert (6, [{"job_id": busy, "reason": "acme/busy:2 is not over"}]) == (
        refused.code,
        refused.data["refused"],
    )


async def test_bulk_needs_consent(url: str, store: Store) -> None:
    """What a filter takes is purged only with --yes, where nobody can be asked."""
    job_id = await bury(store, "slow")
    refused = await sched("dead", "purge", "--tenant", "acme", url=url)
    kept = await builders.state_of(store, job_id)
    done = await sched("dead", "purge", "--tenant", "acme", "--yes", url=url)

    assert 6 == refused.code
    assert "--yes" in refused.err
    assert State.DEAD is kept
    assert (0, f"{job_id}\n") == (done.code, done.out)
    assert await builders.state_of(store, job_id) is None


@pytest.mark.parametrize("verb", ["replay", "purge"])
async def test_nothing_matches(url: str, store: Store, verb: str) -> None:
    """Where a filter takes none the command says so; that is no failure, and nothing is asked."""
    await bury(store, "slow")
    done = await sched("dead", verb, "--tenant", "bolt", url=url)
    data = (await sched("dead", verb, "--tenant", "bolt", "-o", "json", url=url)).data

    assert (0, "") == (done.code, done.out)
    assert f"nothing to {verb}: no dead letter matches\n" == done.err
    assert {"done": [], "refused": []} == data


async def test_no_filter(url: str, store: Store) -> None:
    """Without a name or a filter nothing is purged: that is a usage error."""
    await bury(store, "slow")

    assert 2 == (await sched("dead", "purge", "--yes", url=url)).code


async def test_unknown_letter(url: str, store: Store) -> None:
    """A dead letter that does not exist is not found."""
    await bury(store, "slow")

    assert 5 == (await sched("dead", "show", "acme/slow:nothing", url=url)).code
