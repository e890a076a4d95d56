"""`examples/billing` while processes are killed: each order is billed and posted once."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from examples.billing import checker, fleet, schema
from examples.billing.database import BadDatabase, opened
from examples.billing.driver import JOBS
from examples.billing.fleet import Fleet
from rota.common.clock import SystemClock
from tests.support import postgres, waits
from tests.support.postgres import Postgres
from tests.support.processes import ROOT

pytestmark = pytest.mark.system

MORTAL = "tests.system.app.mortal_billing"  # not imported: whoever uses it dies

# Where a worker leaves something done that nobody knows of: a unit that is committed and not
# check-pointed, documents that a carrier has, and that are marked; a posting.
CRITICAL = (
    "after COMMIT, behind INSERT INTO documents",
    "after COMMIT, behind INSERT INTO deliveries",
    "after UPDATE documents SET delivered",
    "after COMMIT, behind UPDATE documents SET posted",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the address of a database that is empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/billing.db"
        return
    if postgres.programs() is None:
        pytest.skip("there is no PostgreSQL here: apt install postgresql")
    pytest.importorskip("psycopg", reason="no driver here: pip install psycopg[binary]")
    with Postgres() as server:
        yield server.url


def drive(url: str, *words: str) -> str:
    """Run the example; return what it prints. It fails if an order is not billed exactly once."""
    command = [sys.executable, "-m", "examples.billing.driver", "--database", url, *words]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def bury(folder: Path, url: str) -> tuple[list[str], dict[str, int]]:
    """Bill orders with workers that die and are replaced; return where they did, and the faults."""
    graves, config = folder / "graves", folder / "rota.yaml"
    # A task may die more often here than its carrier may fail.
    config.write_text(re.sub(r"attempts: \d+", "attempts: 99", fleet.CONFIG.read_text()))
    with opened(url) as db, schema.made(db):
        schema.fill(db, orders=20, carriers=4, now_ms=SystemClock().now_ms())
        schema.clear(db)
        with Fleet(folder, url, 2, app=MORTAL, config=config) as processes:
            commands = [processes.asking("trigger", job, "--wait") for job in JOBS]

            def over() -> bool:
                processes.replace_dead()
                return all(each.poll() is not None for each in commands)

            waits.until(over, 600.0)
            assert {"succeeded"} == {each["outcome"] for each in fleet.ended(commands)}
        return [grave.read_text() for grave in graves.iterdir()], checker.faults(db)


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return how to say where workers die, by a pattern."""
    (tmp_path / "graves").mkdir()
    monkeypatch.setenv("ROTA_TEST_GRAVES", str(tmp_path / "graves"))
    return lambda pattern: monkeypatch.setenv("ROTA_TEST_PLACES", pattern)


def test_killed(url: str) -> None:
    """Random kills of workers and schedulers leave nothing missing, and nothing done twice."""
    shown = drive(url, "phases", "--orders", "600", "--carriers", "10", "--kill", "4")

    assert "600  documents that carriers have" in shown
    assert 5 == shown.count(" succeeded")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_dead_where_it_matters(url: str, tmp_path: Path, dying: Callable[[str], None]) -> None:
    """A worker that dies behind an effect that nobody knows of does not have it done twice."""
    dying("|".join(CRITICAL))
    places, faults = bury(tmp_path, url)

    assert len(CRITICAL) <= len(places)
    assert dict.fromkeys(checker.FAULTS, 0) == faults


@pytest.mark.long
def test_dead_everywhere(url: str, tmp_path: Path, dying: Callable[[str], None]) -> None:
    """A worker may die before and behind each statement of each handler."""
    dying("")
    places, faults = bury(tmp_path, url)

    assert {"before", "after"} == {place.partition(" ")[0] for place in places}
    assert len(places) > 30
    assert dict.fromkeys(checker.FAULTS, 0) == faults


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_broken_carrier(url: str) -> None:
    """A carrier that does not recover ends the runs and marks their documents; a replay heals."""
    shown = drive(url, "broken", "--orders", "100", "--carriers", "4")
    broken, _, mended = shown.partition("carrier 0 is mended")

    assert (5, 5) == (broken.count(" dead"), mended.count(" succeeded"))
    assert "      100  documents held" in broken
    assert "        0  documents held" in mended


@pytest.mark.long
def test_killed_often(url: str) -> None:
    """50,000 orders, 500 carriers and 40 kills; in units they take 500 commits, not 50,000."""
    shown = drive(url, "units", "phases", "--kill", "40")

    assert re.search(r"one-by-one +50,000 +50,000 ", shown)
    assert re.search(r"in-units +50,000 +500 ", shown)
    assert "50,000  documents that carriers have" in shown


def test_an_empty_database_is_asked_for(tmp_path: Path) -> None:
    """Tables of others are left alone: the example does not begin where there are some."""
    url = f"sqlite:///{tmp_path}/shop.db"
    with opened(url) as db:
        db.run("CREATE TABLE documents (title TEXT)")
        db.run("INSERT INTO documents VALUES ('mine')")
        with pytest.raises(BadDatabase, match="empty"), schema.made(db):
            pass

        assert [("mine",)] == db.rows("SELECT title FROM documents")
        assert [("documents",)] == db.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
