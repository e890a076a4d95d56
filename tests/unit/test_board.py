"""The board counts what was heard, tenant by tenant, and shows whoever was last."""

from typing import Any

from rota.common.message import Completion
from rota.scheduler.board import Board
from tests.support.builders import DUE_MS


def completion(tenant: str = "acme", outcome: str = "succeeded", **over: Any) -> Completion:
    """Return the completion of some run of a tenant."""
    fields: dict[str, Any] = {
        "job_id": f"{tenant}/import:x",
        "tenant": tenant,
        "job": "import",
        "outcome": outcome,
        "attempt": 1,
        "worker": "w1",
        "took_ms": 12,
    }
    return Completion(**(fields | over))


def test_nothing_heard() -> None:
    """Every tenant has a line from the start, though none was seen."""
    board = Board({"acme": "gold", "bolt": "silver"})

    assert {"acme": "gold", "bolt": "silver"} == {t: line.group for t, line in board.lines.items()}
    assert (0, 0, 0) == (board.succeeded, board.failed, board.tenants_seen)


def test_counts() -> None:
    """Successes and failed attempts are counted for the tenant and in all."""
    board = Board({"acme": "gold", "bolt": "silver"})
    for outcome in ("succeeded", "retrying", "dead", "succeeded"):
        board.heard("gold", completion(outcome=outcome), DUE_MS)
    board.heard("silver", completion("bolt"), DUE_MS)
    acme, bolt = board.lines["acme"], board.lines["bolt"]

    assert (2, 2) == (acme.succeeded, acme.failed)
    assert (1, 0) == (bolt.succeeded, bolt.failed)
    assert (3, 2, 2) == (board.succeeded, board.failed, board.tenants_seen)


def test_last() -> None:
    """A tenant's line tells what ended last, how, how long it took and when."""
    board = Board({"acme": "gold"})
    board.heard("gold", completion(job="vacuum", took_ms=5), DUE_MS)
    board.heard("gold", completion(job="report", outcome="dead", took_ms=7), DUE_MS + 1)
    line = board.lines["acme"]

    assert ("report", "dead", 7, DUE_MS + 1) == (line.last, line.outcome, line.took_ms, line.at_ms)


def test_unknown_tenant() -> None:
    """A tenant that the configuration no longer has gets a line as well."""
    board = Board({})
    board.heard("gold", completion("gone"), DUE_MS)

    assert "gold" == board.lines["gone"].group
    assert 1 == board.tenants_seen


def test_recent() -> None:
    """Whoever completed last comes first, tenants of the same moment by name."""
    board = Board(dict.fromkeys(("a", "b", "c", "d"), "gold"))
    for tenant, at_ms in (("c", 10), ("a", 20), ("b", 20)):
        board.heard("gold", completion(tenant), at_ms)

    assert ["a", "b", "c"] == [line.tenant for line in board.recent(3)]
    assert ["a"] == [line.tenant for line in board.recent(1)]
    assert 4 == len(board.recent(10))


def test_notes() -> None:
    """Of what is logged to the board the last lines are kept, and empty ones are not."""
    board = Board({})
    for number in range(7):
        board.write(f"line {number}\n")

    assert 3 == board.write("\n  ")

    board.flush()

    assert [f"line {number}" for number in range(2, 7)] == list(board.notes)
