"""The dead letters: runs whose attempts are spent, kept with their payload for a week."""

from typing import Any

import msgspec

from rota.common import keys, message
from rota.common.link import Link
from rota.common.message import Completion, Failure


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """One dead letter, without its payload."""

    job_id: str
    group: str
    tenant: str
    job: str  # the job's name within the tenant
    died_ms: int  # by the store's clock
    attempts: int  # how many were made
    error: Failure  # why the last one failed


class DeadLetters:
    """Reads the dead letters of a store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(self, group: str) -> list[DeadLetter]:
        """Return the dead letters of `group`, the latest first."""
        pairs = await self._link.command("ZREVRANGE", keys.dead(group), 0, -1, "WITHSCORES")
        died = [(i.decode(), int(float(at))) for i, at in zip(pairs[::2], pairs[1::2], strict=True)]
        asked = [("HMGET", keys.run(group, i), "state", "completion") for i, _ in died]
        rows = await self._link.many(asked)  # a group has at most 10,000
        return [
            _letter(group, job_id, died_ms, message.decode_completion(completion))
            for (job_id, died_ms), (state, completion) in zip(died, rows, strict=True)
            if state == b"dead"
        ]

    async def request(self, letter: DeadLetter) -> dict[str, Any]:
        """Return what its worker was asked to do, as plain data; empty if the payload is lost.

        Of several phases it is the one that failed, also if a handler for that was called behind.
        """
        key = keys.run(letter.group, letter.job_id)
        body, failed = await self._link.command("HMGET", key, "body", "failed")
        if not body:
            return {}
        number = msgspec.msgpack.decode(failed)[0] if failed else 0
        request = message.decode_phase(body, number) if number else message.decode_request(body)
        data: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(request, args=b""))
        if number:
            data["phase"] = number
        return data | {"args": msgspec.msgpack.decode(request.args)}


def _letter(group: str, job_id: str, died_ms: int, told: Completion) -> DeadLetter:
    return DeadLetter(
        job_id=job_id,
        group=group,
        tenant=told.tenant,
        job=told.job,
        died_ms=died_ms,
        attempts=told.attempt,
        error=told.error or Failure(kind=""),
    )
