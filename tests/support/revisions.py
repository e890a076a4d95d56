"""Revisions of the configuration for tests that do not care what is in them."""

from typing import Any

from rota.common.revisions import Revision, Revisions
from rota.common.store import Store


async def make(store: Store, content: bytes = b"content", **over: Any) -> Revision:
    """Make `content` the current revision, the next one of the store."""
    revisions = Revisions(store.link)
    fields: dict[str, Any] = {
        "at_ms": await revisions.now_ms(),
        "by": "ann@host",
        "command": "sched apply rota.yaml",
        "digest": "d",
        "groups": 1,
        "tenants": 1,
        "jobs": 1,
        "before": await revisions.current(),
    } | over
    before = fields.pop("before")
    return await revisions.make_current(content, before, **fields)
