"""`examples/billing`: its checker finds what is wrong, and its papers agree with its code."""

import re
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.billing import checker, database, jobs, schema
from examples.billing.database import BadDatabase, Database, opened
from rota.common import message
from rota.scheduler import config

HERE = Path(__file__).resolve().parent.parent.parent / "examples" / "billing"
BILLED = """
INSERT INTO documents (tenant, number, run, carrier, cents, delivered, posted)
SELECT tenant, number, tenant || '/billing:1', carrier, cents, 1, 1 FROM orders;
INSERT INTO deliveries (document, carrier) SELECT tenant || '/' || number, carrier FROM orders;
INSERT INTO postings
SELECT tenant || '/billing:1', tenant, COUNT(*), SUM(cents) FROM orders GROUP BY tenant;
UPDATE accounts SET cents = (SELECT SUM(cents) FROM orders WHERE tenant = accounts.tenant);
"""


def doubled(table: str, where: str) -> str:
    """Return the statements that double a row, against the table's key."""
    return f"""
        CREATE TABLE keyless AS SELECT * FROM {table};
        DROP TABLE {table};
        ALTER TABLE keyless RENAME TO {table};
        INSERT INTO {table} SELECT * FROM {table} WHERE {where};
    """


DAMAGE = {
    "orders without a document": "DELETE FROM documents WHERE number = 7",
    "orders with two documents": doubled("documents", "number = 7"),
    "documents whose carrier does not have them": (
        "DELETE FROM deliveries WHERE document = 'east/7'"
    ),
    "documents not marked as delivered": "UPDATE documents SET delivered = 0 WHERE number = 7",
    "documents not posted, or held": "UPDATE documents SET held = 1 WHERE number = 7",
    "runs posted twice": doubled("postings", "tenant = 'east'"),
    "postings that differ from their documents": (
        "UPDATE postings SET cents = 1 WHERE tenant = 'east'"
    ),
    "accounts that differ from the orders": (
        "UPDATE accounts SET cents = 2 * cents WHERE tenant = 'east'"
    ),
}


@pytest.fixture
def billed(tmp_path: Path) -> Iterator[Database]:
    """Return a database where each order is billed once."""
    path = tmp_path / "billing.db"
    with opened(f"sqlite:///{path}") as db, schema.made(db):
        schema.fill(db, orders=50, carriers=4, now_ms=2)
        schema.clear(db)
        run(path, BILLED)
        yield db


def run(path: Path, script: str) -> None:
    """Run statements on a database."""
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_nothing_is_wrong(billed: Database) -> None:
    """The checker finds no fault where each order is billed once."""
    assert dict.fromkeys(checker.FAULTS, 0) == checker.faults(billed)
    assert 50 == checker.counts(billed)["documents that carriers have"]
    assert 100 == checker.done(billed)


@pytest.mark.parametrize("fault", checker.FAULTS)
def test_each_fault_is_found(billed: Database, fault: str, tmp_path: Path) -> None:
    """The checker counts one fault of the kind that there is."""
    run(tmp_path / "billing.db", DAMAGE[fault])

    assert 1 == checker.faults(billed)[fault]


def test_each_job_has_its_handlers() -> None:
    """The example's jobs name handlers that there are, with arguments that these take."""
    handlers = jobs.jobs.handlers
    found = config.load(HERE / "rota.yaml")
    used = set()
    for job in found.jobs:
        for name in job.handlers:
            handlers[name].arguments.decode(message.encode(job.args))
            used |= {name, handlers[name].tasks} - {""}

    assert set(schema.TENANTS) == set(found.tenants)
    assert used == set(handlers)


@pytest.mark.parametrize("url", ["mysql://there/shop", "shop.db", ""])
def test_a_strange_database_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL that nobody can use is refused with a word on what to write."""
    monkeypatch.delenv(database.VARIABLE, raising=False)
    with pytest.raises(BadDatabase, match="sqlite:///"), opened(url):
        pass


def test_a_driver_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the example says how to get it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(BadDatabase, match=re.escape('pip install "psycopg[binary]"')):
        Database("postgresql://billing@127.0.0.1/billing")


def test_a_transaction_is_all_or_nothing(billed: Database) -> None:
    """A block that ends with an error leaves nothing in the database."""

    def fail() -> None:
        with billed.transaction() as db:
            db.run("DELETE FROM documents")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert 50 == checker.counts(billed)["documents"]
