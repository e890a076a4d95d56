"""The carriers: they are far away, now and then they fail, and they know a document by its key."""

import time

from examples.billing import database

_FAR = 0.02  # seconds that a call takes


def deliver(carrier: int, documents: list[str]) -> None:
    """Hand documents, named by keys, to a carrier; one that it has already is not taken twice.

    Raises `ConnectionError` when it has taken nothing, and `TimeoutError` when its answer is lost:
    then it may have taken them all.
    """
    with database.opened() as db:
        fails = _call(db, carrier)
        if fails not in (0, 2):
            raise ConnectionRefusedError(f"carrier {carrier} answers 503 Service Unavailable")
        time.sleep(_FAR)
        with db.transaction():
            db.each(
                "INSERT INTO deliveries (document, carrier) VALUES (?, ?)"
                " ON CONFLICT (document) DO UPDATE SET copies = deliveries.copies + 1",
                [(document, carrier) for document in documents],
            )
        if fails:
            raise TimeoutError(f"carrier {carrier} has not answered in time")


def _call(db: database.Database, carrier: int) -> int:
    """Return how many calls, this one included, will fail from here on."""
    ((fails,),) = db.rows("SELECT fails FROM carriers WHERE carrier = ?", carrier)
    if not fails:
        return 0
    ((calls,),) = db.rows(
        "UPDATE carriers SET calls = calls + 1 WHERE carrier = ? RETURNING calls", carrier
    )
    return max(0, int(fails) - int(calls) + 1)
