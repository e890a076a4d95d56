"""The back end of a small shop platform, as jobs: each call works on one tenant's data.

A job may run again after a crash, so each handler is written to be repeated: the same run writes
the same rows and the same files. What is made up here is drawn from `ctx.job_id`, for that reason.
"""

import asyncio
import json
import math
from html import escape
from random import Random
from typing import Annotated, Literal

import msgspec

import storage
from rota.worker import Context, Jobs

PRODUCTS = {"espresso": 250, "notebook": 890, "lamp": 4900, "bicycle": 64900, "poster": 1500}
CUSTOMERS = [f"customer-{number:03}@example.com" for number in range(200)]

MARK_INVOICED = """
UPDATE orders SET invoiced = 1
WHERE id IN (SELECT id FROM orders WHERE invoiced = 0 LIMIT ?)
RETURNING id, customer, product, cents
"""

Folder = Literal["invoices", "outbox"]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]

jobs = Jobs()


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """What a newsletter says, and to whom."""

    subject: str
    min_cents: int = 0  # only to customers that have spent so much
    limit: int = 20  # the most letters in one run


@jobs.handler("orders.import")
async def import_orders(ctx: Context, source: str, count: int = 25) -> dict[str, int]:
    """Write the orders of one source to the tenant's database."""
    made_up = Random(ctx.job_id)
    await asyncio.sleep(0.05 + made_up.random() / 5)  # the source is far away
    rows = [
        (f"{ctx.job_id}#{n}", source, made_up.choice(CUSTOMERS), product, PRODUCTS[product])
        for n, product in enumerate(made_up.choices(list(PRODUCTS), k=count))
    ]
    return {"imported": await asyncio.to_thread(_insert, ctx.tenant, rows)}


def _insert(tenant: str, rows: list[tuple[str, str, str, str, int]]) -> int:
    statement = "INSERT OR IGNORE INTO orders (id, source, customer, product, cents)"
    with storage.database(tenant) as db:
        return db.executemany(f"{statement} VALUES (?, ?, ?, ?, ?)", rows).rowcount


@jobs.handler("invoices.render")
def render_invoices(ctx: Context, currency: str = "EUR", limit: int = 20) -> dict[str, int]:
    """Mark orders that have no invoice, and write one for each as HTML; both or neither."""
    target = storage.folder(ctx.tenant, "invoices")
    with storage.database(ctx.tenant) as db:
        rows = db.execute(MARK_INVOICED, (limit,)).fetchall()
        for order, customer, product, cents in rows:
            total = f"{cents / 100:.2f} {currency}"
            page = f"<h1>Invoice</h1><p>{escape(customer)}: {escape(product)}, {total}</p>\n"
            storage.write(target / f"{storage.file_name(order)}.html", page)
    return {"invoices": len(rows), "cents": sum(row[3] for row in rows)}


@jobs.handler("cache.rebuild")
def rebuild_cache(ctx: Context) -> dict[str, int]:
    """Aggregate the orders into the JSON file that the shop's front page reads."""
    with storage.database(ctx.tenant) as db:
        best = db.execute(
            "SELECT product, count(*), sum(cents) FROM orders GROUP BY product ORDER BY 3 DESC"
        ).fetchall()
    products = [{"product": name, "sold": sold, "cents": cents} for name, sold, cents in best]
    storage.write(storage.folder(ctx.tenant) / "front-page.json", json.dumps(products, indent=1))
    return {"products": len(products)}


@jobs.handler("files.cleanup")
def clean_up_files(ctx: Context, folder: Folder, keep: int = 50) -> dict[str, int]:
    """Remove a folder's oldest files, all but `keep`."""
    files = storage.files(ctx.tenant, folder)
    surplus = files[: max(0, len(files) - keep)]
    for file in surplus:
        file.path.unlink(missing_ok=True)
    return {"removed": len(surplus), "kept": len(files) - len(surplus)}


@jobs.handler("newsletter.send")
async def send_newsletter(ctx: Context, campaign: Campaign) -> dict[str, int]:
    """Put a letter for each good customer into the tenant's outbox."""
    customers = await asyncio.to_thread(_customers, ctx.tenant, campaign)
    outbox = storage.folder(ctx.tenant, "outbox") / f"{storage.file_name(ctx.job_id)}.jsonl"
    letters = [
        json.dumps({"to": customer, "subject": campaign.subject}) + "\n" for customer in customers
    ]
    await asyncio.sleep(0.02 * len(letters))  # the mail server takes its time
    await asyncio.to_thread(storage.write, outbox, "".join(letters))
    return {"letters": len(letters)}


def _customers(tenant: str, campaign: Campaign) -> list[str]:
    with storage.database(tenant) as db:
        rows = db.execute(
            "SELECT customer FROM contacts WHERE cents >= ? ORDER BY cents DESC LIMIT ?",
            (campaign.min_cents, campaign.limit),
        ).fetchall()
    return [row[0] for row in rows]


@jobs.handler("crm.sync")
async def sync_crm(ctx: Context, fails: Percent = 20) -> dict[str, int]:
    """Sum up each customer's orders. The far side fails in `fails` of 100 attempts."""
    luck = Random(f"{ctx.job_id} {ctx.attempt}")
    await asyncio.sleep(0.1 + luck.random() / 2)
    if luck.random() * 100 < fails:
        raise ConnectionError("the CRM answered 503 Service Unavailable")
    contacts = await asyncio.to_thread(_sum_up, ctx.tenant)
    ctx.log.debug("crm_synced", contacts=contacts)
    return {"contacts": contacts}


def _sum_up(tenant: str) -> int:
    with storage.database(tenant) as db:
        return db.execute(
            "INSERT OR REPLACE INTO contacts"
            " SELECT customer, sum(cents) FROM orders GROUP BY customer"
        ).rowcount


@jobs.handler("reports.daily")
def report_daily(ctx: Context, title: str = "Sales") -> dict[str, int]:
    """Write the report of the day: each source's orders and turnover."""
    with storage.database(ctx.tenant) as db:
        rows = db.execute(
            "SELECT source, count(*), sum(cents) FROM orders GROUP BY source ORDER BY source"
        ).fetchall()
    lines = [f"{source:12}{count:8}{cents / 100:14.2f}" for source, count, cents in rows]
    day = ctx.due.date().isoformat()
    text = "\n".join([f"{title} of {ctx.tenant} on {day}", *lines, ""])
    storage.write(storage.folder(ctx.tenant, "reports") / f"{day}.txt", text)
    return {"sources": len(rows), "orders": sum(row[1] for row in rows)}


@jobs.handler("db.vacuum")
def vacuum(ctx: Context) -> dict[str, int]:
    """Give the space of what was removed back to the disk."""
    with storage.database(ctx.tenant) as db:
        db.execute("VACUUM")
    return {"bytes": (storage.folder(ctx.tenant) / "shop.db").stat().st_size}


@jobs.handler("usage.measure")
def measure_usage(ctx: Context) -> dict[str, int]:
    """Count the tenant's files and bytes, for its bill."""
    files = storage.files(ctx.tenant)
    usage = {"files": len(files), "bytes": sum(file.size for file in files)}
    storage.write(storage.folder(ctx.tenant, "billing") / "usage.json", json.dumps(usage))
    return usage


@jobs.handler("image.thumbnails", isolation="process")
def make_thumbnails(ctx: Context, widths: list[int]) -> dict[str, int]:
    """Draw a product picture and write it in each width. All CPU: it gets its own process."""
    target = storage.folder(ctx.tenant, "images")
    waves = Random(ctx.job_id).uniform(2, 9)
    for width in widths:
        picture = b"P5 %d %d 255\n" % (width, width) + _rings(width, waves)
        storage.write(target / f"product-{width}.pgm", picture)
    return {"pictures": len(widths), "pixels": sum(width * width for width in widths)}


def _rings(width: int, waves: float) -> bytes:
    """Return the pixels of a square picture, a byte for each."""
    steps = [step / width - 0.5 for step in range(width)]
    turn = waves * math.tau
    return bytes(int(127 + 127 * math.sin(turn * math.hypot(x, y))) for y in steps for x in steps)
