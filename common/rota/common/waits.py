"""How long runs were queued before a worker claimed them, of the attempts that have ended."""

from collections import defaultdict
from typing import Any

import msgspec

from rota.common import keys
from rota.common.backlog import queued_ms
from rota.common.job_ids import due_of
from rota.common.link import Link

_CHUNK = 1_000  # completions in one round trip


class _Told(msgspec.Struct):
    """The part of a completion that is needed here."""

    job_id: str
    tenant: str
    attempt: int


_decoder = msgspec.msgpack.Decoder(_Told)


class Waits:
    """Reads waits from the stream of completions, which holds about the last 50,000."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def mark(self, group: str) -> str:
        """Return the id of the last completion, to read from there later."""
        found = await self._link.command("XREVRANGE", keys.done(group), "+", "-", "COUNT", 1)
        return found[0][0].decode() if found else "0-0"

    async def since(self, group: str, mark: str = "0-0") -> dict[str, list[int]]:
        """Return by tenant how many ms each of its runs waited whose first attempt ended since."""
        found: dict[str, list[int]] = defaultdict(list)
        while True:
            entries = await self._link.command(
                "XRANGE", keys.done(group), f"({mark}", "+", "COUNT", _CHUNK
            )
            for tenant, waited_ms in filter(None, (_wait(fields) for _, fields in entries)):
                found[tenant].append(waited_ms)
            if len(entries) < _CHUNK:
                return found
            mark = entries[-1][0].decode()


def _wait(fields: dict[bytes, Any]) -> tuple[str, int] | None:
    """Return tenant and wait of a first attempt; None if it is not known, or it was a later one."""
    queued, claimed = fields.get(b"queued"), fields.get(b"claimed")
    try:
        told = _decoder.decode(fields[b"completion"])
    except msgspec.DecodeError:
        return None  # as a scheduler that listens leaves it out
    if told.attempt != 1 or not queued or not claimed:
        return None
    due_ms = due_of(told.job_id.partition(":")[2])
    return told.tenant, max(0, int(claimed) - queued_ms(due_ms, queued))
