"""The handlers of the monthly billing. Each may be called again at any time, and writes the same.

What keeps it so is in the database: unique keys, and effects that share a transaction with the row
that tells of them. Nothing is asked of the order in which workers die.
"""

from collections.abc import Iterator

import msgspec

from examples.billing import carrier, database
from examples.billing.database import Database
from rota.worker import Context, Jobs, TaskSpec

jobs = Jobs()

# Orders of this run: placed by its due time, and not billed by another run. So they are the same
# at each attempt, which is what units ask for.
TO_BILL = """
SELECT number, customer, carrier, cents FROM orders
WHERE tenant = ? AND placed_ms <= ? AND NOT EXISTS (
    SELECT 1 FROM documents
    WHERE documents.tenant = orders.tenant AND documents.number = orders.number AND run <> ?
)
ORDER BY number
"""


class Order(msgspec.Struct, frozen=True):
    """An order that is to be billed."""

    number: int
    customer: str
    carrier: int
    cents: int


class Consignment(msgspec.Struct, frozen=True):
    """What a task is told: which documents it hands to whom."""

    run: str  # that made the documents; a task has a job_id of its own
    carrier: int


@jobs.handler("billing.create")
def create_documents(ctx: Context, durable: bool = True) -> dict[str, int]:
    """Make a document for each order, a hundred in each transaction."""
    with database.opened(durable=durable) as db:
        units = ctx.units(orders_to_bill(db, ctx), size=100, transaction=db.transaction)
        for unit in units:
            with unit as tx:
                for order in unit:
                    create(tx, ctx, order)
    return {"documents": units.tally.items, "commits": units.tally.units}


@jobs.handler("billing.create-one-by-one")
def create_one_by_one(ctx: Context, durable: bool = True) -> dict[str, int]:
    """Make the same documents as one would at first, for comparison: a commit for each."""
    commits = 0
    with database.opened(durable=durable) as db:
        for order in orders_to_bill(db, ctx):
            with db.transaction() as tx:
                create(tx, ctx, order)
            commits += 1
    return {"documents": commits, "commits": commits}


def orders_to_bill(db: Database, ctx: Context) -> list[Order]:
    """Return the orders of this run, by number."""
    return [Order(*row) for row in db.rows(TO_BILL, ctx.tenant, ctx.due_ms, ctx.job_id)]


def create(db: Database, ctx: Context, order: Order) -> None:
    """Write the document of an order, unless it is there: a unit may be done again."""
    page = f"Invoice {ctx.tenant}/{order.number}: {order.customer}, {order.cents / 100:.2f} EUR"
    db.run(
        "INSERT INTO documents (tenant, number, run, carrier, cents, page)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, number) DO NOTHING",
        *(ctx.tenant, order.number, ctx.job_id, order.carrier, order.cents, page),
    )


@jobs.planner("billing.distribute", tasks="billing.deliver")
def plan_deliveries(ctx: Context) -> Iterator[TaskSpec]:
    """Plan a task for each carrier that gets documents of this run."""
    with database.opened() as db:
        carriers = db.rows(
            "SELECT carrier, COUNT(*) FROM documents WHERE run = ? AND delivered = 0"
            " GROUP BY carrier ORDER BY carrier",
            ctx.job_id,
        )
    for number, documents in carriers:
        consignment = {"run": ctx.job_id, "carrier": number}
        yield TaskSpec(key=f"carrier-{number}", size=documents, args=consignment)


@jobs.handler("billing.deliver")
def deliver(ctx: Context, parts: list[Consignment]) -> None:
    """Hand a carrier its documents, then note that it has them.

    Between the two a worker may die, and an answer may be lost: the next attempt hands over the
    same documents under the same keys, by which the carrier knows them.
    """
    with database.opened() as db:
        for part in parts:
            found = db.rows(
                "SELECT number FROM documents"
                " WHERE run = ? AND carrier = ? AND delivered = 0 ORDER BY number",
                *(part.run, part.carrier),
            )
            if not found:
                continue
            carrier.deliver(part.carrier, [f"{ctx.tenant}/{number}" for (number,) in found])
            db.run(
                "UPDATE documents SET delivered = 1 WHERE run = ? AND carrier = ?",
                *(part.run, part.carrier),
            )


@jobs.handler("billing.post")
def post(ctx: Context) -> dict[str, int]:
    """Add the run's documents to the tenant's account, once: the row of the posting decides."""
    with database.opened() as db, db.transaction():
        ((documents, cents),) = db.rows(
            "SELECT COUNT(*), COALESCE(SUM(cents), 0) FROM documents WHERE run = ?", ctx.job_id
        )
        first = db.run(
            "INSERT INTO postings VALUES (?, ?, ?, ?) ON CONFLICT (run) DO NOTHING",
            *(ctx.job_id, ctx.tenant, documents, cents),
        )
        if first:
            db.run("UPDATE accounts SET cents = cents + ? WHERE tenant = ?", cents, ctx.tenant)
            db.run("UPDATE documents SET posted = 1, held = 0 WHERE run = ?", ctx.job_id)
    return {"documents": documents, "cents": int(cents)}


@jobs.handler("billing.hold")
def hold(ctx: Context) -> dict[str, int]:
    """Mark the documents of a run that has failed; one that is posted is not marked any more."""
    with database.opened() as db:
        held = db.run("UPDATE documents SET held = 1 WHERE run = ? AND posted = 0", ctx.job_id)
    return {"held": held}
