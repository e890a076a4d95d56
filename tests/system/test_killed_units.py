"""A worker that dies while it commits units: nothing is lost, and at most one unit is repeated."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support import waits
from tests.support.processes import Plant

pytestmark = pytest.mark.system

APP = "tests.system.app.handlers"


def bill(folder: Path, die: dict[str, int], *, exact: bool) -> tuple[Counter[int], Any]:
    """Let a worker die at each place, and others follow it, until the run is over.

    Returns how often each order was billed, and the run's entry in the ledger.
    """
    database = str(folder / "shop.db")
    with closing(sqlite3.connect(database)) as db:
        db.execute("CREATE TABLE documents (number INTEGER)")
        db.execute("CREATE TABLE positions (run TEXT PRIMARY KEY, done INTEGER)")
        db.commit()
    args = json.dumps({"database": database, "die": die, "exact": exact})
    job = f"{{handler: bill, cron: '0 0 1 1 *', retry: {{attempts: 5}}, args: {args}}}"
    with Plant(folder, ROTA_LEASE="2s") as plant:
        plant.start_sched(
            f"groups: {{gold: {{}}}}\ntenants: {{acme: {{group: gold, jobs: {{bill: {job}}}}}}}\n"
        )
        plant.ask("trigger", "acme/bill")
        for number in range(len(die)):
            plant.start_worker(APP, name=f"victim-{number}").wait()
        plant.start_worker(APP)
        waits.until(lambda: plant.ask("runs", "acme/bill")[0]["outcome"] == "succeeded", 20.0)
        (entry,) = plant.ask("runs", "acme/bill")
    with closing(sqlite3.connect(database)) as db:
        return Counter(row[0] for row in db.execute("SELECT number FROM documents")), entry


def test_killed(tmp_path: Path) -> None:
    """Only a unit whose worker died between its commit and the checkpoint is done twice."""
    places = {"within": 40, "committed": 90, "behind": 150}
    billed, entry = bill(tmp_path, places, exact=False)

    assert set(range(200)) == set(billed)
    assert list(range(90, 100)) == sorted(order for order, times in billed.items() if times > 1)
    assert 2 == max(billed.values())
    assert ("succeeded", 4) == (entry["outcome"], entry["attempts"])
    assert (200, 20) == (entry["units"][0]["items"], entry["units"][0]["units"])


@pytest.mark.long
def test_killed_exactly_once(tmp_path: Path) -> None:
    """A handler that writes its position in the same transaction does nothing twice."""
    billed, entry = bill(tmp_path, {"within": 40, "committed": 90, "behind": 150}, exact=True)

    assert dict.fromkeys(range(200), 1) == billed
    assert 200 == entry["units"][0]["items"]
