"""Counts in the database what must not be: what is missing, and what was done twice."""

from examples.billing.database import Database

# Each counts faults. The keys that keep out doubles are not relied on: the accounts have none.
FAULTS = {
    "orders without a document": (
        "SELECT COUNT(*) FROM orders o LEFT JOIN documents d"
        " ON d.tenant = o.tenant AND d.number = o.number WHERE d.number IS NULL"
    ),
    "orders with two documents": (
        "SELECT COUNT(*) FROM (SELECT 1 FROM documents GROUP BY tenant, number"
        " HAVING COUNT(*) > 1) twice"
    ),
    "documents whose carrier does not have them": (
        "SELECT COUNT(*) FROM documents d LEFT JOIN deliveries x"
        " ON x.document = d.tenant || '/' || d.number AND x.carrier = d.carrier"
        " WHERE x.document IS NULL"
    ),
    "documents not marked as delivered": "SELECT COUNT(*) FROM documents WHERE delivered = 0",
    "documents not posted, or held": "SELECT COUNT(*) FROM documents WHERE posted = 0 OR held = 1",
    "runs posted twice": (
        "SELECT COUNT(*) FROM (SELECT 1 FROM postings GROUP BY run HAVING COUNT(*) > 1) twice"
    ),
    "postings that differ from their documents": (
        "SELECT COUNT(*) FROM postings p WHERE cents <>"
        " (SELECT COALESCE(SUM(d.cents), 0) FROM documents d WHERE d.run = p.run)"
    ),
    "accounts that differ from the orders": (
        "SELECT COUNT(*) FROM accounts a WHERE cents <>"
        " (SELECT COALESCE(SUM(o.cents), 0) FROM orders o WHERE o.tenant = a.tenant)"
    ),
}
COUNTS = {
    "orders": "SELECT COUNT(*) FROM orders",
    "documents": "SELECT COUNT(*) FROM documents",
    "documents held": "SELECT COUNT(*) FROM documents WHERE held = 1",
    "documents that carriers have": "SELECT COUNT(*) FROM deliveries",
    "deliveries absorbed by the carriers' key": (
        "SELECT COALESCE(SUM(copies - 1), 0) FROM deliveries"
    ),
    "calls that failed on purpose": (
        "SELECT COALESCE(SUM(CASE WHEN calls < fails THEN calls ELSE fails END), 0) FROM carriers"
    ),
    "postings": "SELECT COUNT(*) FROM postings",
}


def faults(db: Database) -> dict[str, int]:
    """Return how many faults there are of each kind; all are 0 when every order is billed once."""
    return {name: _number(db, sql) for name, sql in FAULTS.items()}


def counts(db: Database) -> dict[str, int]:
    """Return what was done."""
    return {name: _number(db, sql) for name, sql in COUNTS.items()}


def done(db: Database) -> int:
    """Return how many steps are done of two for each order: its document, and its delivery."""
    return _number(db, "SELECT COUNT(*) + COALESCE(SUM(delivered), 0) FROM documents")


def _number(db: Database, sql: str) -> int:
    return int(db.rows(sql)[0][0])
