"""Backfills: past occurrences of jobs that are run, or run again, behind all that is live.

In the store one hash for each group, beside what was configured. Each entry says how far its
backfill is; `enqueue.lua` moves that on in the same script that takes the next run.
"""

import msgspec

from rota.common import keys, scripts
from rota.common.link import Link


class Backfill(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The backfill of one job. All times are in ms."""

    number: int  # of the group's backfills: part of the job_id of its runs
    from_ms: int  # when the first occurrence was due
    to_ms: int  # and the last
    total: int  # how many these were when it was asked for
    by: str  # USER@HOST
    at_ms: int  # when it was asked for, by the store's clock
    done_ms: int  # up to here all are enqueued
    sent: int = 0  # how many that is
    last: str = ""  # the job_id of the last of these


_decoder = msgspec.msgpack.Decoder(Backfill)


class Backfills:
    """Reads and changes the backfills of one store."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def of(self, group: str) -> dict[str, Backfill]:
        """Return the backfills of `group`, by TENANT/JOB, the first that was asked for first."""
        fields = await self._link.command("HGETALL", keys.backfills(group))
        found = {ref.decode(): _decoder.decode(value) for ref, value in fields.items()}
        return dict(sorted(found.items(), key=lambda pair: pair[1].number))

    async def begin(
        self, group: str, ref: str, *, from_ms: int, to_ms: int, total: int, by: str
    ) -> tuple[Backfill, bool]:
        """Begin to run again what TENANT/JOB was due for between, both included.

        Return its backfill, and whether that is this one; else it had one under way.
        """
        word, packed = await self._change(group, ref, 0, from_ms, to_ms, total, by)
        return _decoder.decode(packed), word == b"begun"

    async def end(self, group: str, ref: str, number: int) -> bool:
        """End a backfill; tell whether it was there. A run of it that is under way goes on."""
        return (await self._change(group, ref, number))[0] == b"ended"

    async def _change(self, group: str, ref: str, *values: int | str) -> tuple[bytes, bytes]:
        root = keys.root(group)
        word, packed = await self._link.command(
            "EVAL", scripts.plain(scripts.BACKFILL), 1, root, ref, *values, key=root
        )
        return word, packed
