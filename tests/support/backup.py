"""A copy of a whole store, to put back: so looks a store that has lost its last writes."""

from rota.common.link import Link

Backup = list[tuple[bytes, int, bytes]]  # key, time to live in ms or 0, serialized value


async def take(link: Link) -> Backup:
    """Return a copy of every key."""
    names = sorted(await link.command("KEYS", "*"))
    times = await link.pipeline([("PTTL", name) for name in names])
    values = await link.pipeline([("DUMP", name) for name in names])
    found = zip(names, times, values, strict=True)
    # A key may end its time, or be taken, in between.
    return [(name, max(0, ms), value) for name, ms, value in found if value is not None]


async def put_back(link: Link, backup: Backup) -> None:
    """Make the store what it was when the copy was taken."""
    restored = [("RESTORE", name, ms, value) for name, ms, value in backup]
    await link.pipeline([("FLUSHALL",), *restored])
