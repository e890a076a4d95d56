"""The tables, and orders that are made up: of some tenants, for some carriers."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from examples.billing.database import BadDatabase, Database

FOREVER = 1_000_000  # calls: a carrier that fails for so long does not recover
TENANTS = ("north", "south", "east", "west", "centre")  # as in rota.yaml

# The carriers' side, `carriers` and `deliveries`, would lie behind a network. It is here so that
# the checker can compare the two.
TABLES = {
    "orders": (
        "tenant TEXT, number BIGINT, placed_ms BIGINT, customer TEXT, carrier BIGINT,"
        " cents BIGINT, PRIMARY KEY (tenant, number)"
    ),
    "documents": (
        "tenant TEXT, number BIGINT, run TEXT, carrier BIGINT, cents BIGINT, page TEXT,"
        " delivered INTEGER DEFAULT 0, posted INTEGER DEFAULT 0, held INTEGER DEFAULT 0,"
        " PRIMARY KEY (tenant, number)"
    ),
    "postings": "run TEXT PRIMARY KEY, tenant TEXT, documents BIGINT, cents BIGINT",
    "accounts": "tenant TEXT PRIMARY KEY, cents BIGINT",
    "carriers": "carrier BIGINT PRIMARY KEY, fails INTEGER, calls INTEGER DEFAULT 0",
    "deliveries": "document TEXT PRIMARY KEY, carrier BIGINT, copies INTEGER DEFAULT 1",
}
INDEX = "CREATE INDEX documents_of_run ON documents (run, carrier)"


@contextmanager
def made(db: Database) -> Iterator[None]:
    """Have the tables for the block. None of them may be there: they are dropped at its end."""
    try:
        with db.transaction():
            for name, columns in TABLES.items():
                db.run(f"CREATE TABLE {name} ({columns})")
            db.run(INDEX)
    except Exception as error:
        raise BadDatabase(f"it must be empty, and one that we may write to: {error}") from error
    try:
        yield
    finally:
        for name in TABLES:
            db.run(f"DROP TABLE {name}")


def fill(db: Database, *, orders: int, carriers: int, now_ms: int) -> None:
    """Make so many orders of five tenants, placed before `now_ms`."""
    random = Random(7)
    with db.transaction():
        db.each(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    TENANTS[n % len(TENANTS)],
                    n,
                    now_ms - 1,
                    f"customer-{random.randrange(9_999)}",
                    random.randrange(carriers),
                    random.randrange(100, 100_000),
                )
                for n in range(orders)
            ),
        )
        db.each("INSERT INTO accounts VALUES (?, 0)", [(tenant,) for tenant in TENANTS])
        db.each(
            "INSERT INTO carriers (carrier, fails) VALUES (?, 0)", [(n,) for n in range(carriers)]
        )


def clear(db: Database) -> None:
    """Forget all that was done; every 10th carrier will fail once, every other 10th one twice."""
    with db.transaction():
        db.run("DELETE FROM documents")
        db.run("DELETE FROM postings")
        db.run("DELETE FROM deliveries")
        db.run("UPDATE accounts SET cents = 0")
        db.run(
            "UPDATE carriers SET calls = 0,"
            " fails = CASE carrier % 10 WHEN 1 THEN 1 WHEN 2 THEN 2 ELSE 0 END"
        )


def fail(db: Database, carrier: int, calls: int) -> None:
    """Let a carrier fail for so many calls from now on."""
    db.run("UPDATE carriers SET calls = 0, fails = ? WHERE carrier = ?", calls, carrier)
