"""A handler that counts itself, and a process that calls it very often at a time.

`python -m tests.system.app.callers COUNT` prints the number of each call when its reply is there.
"""

import asyncio
import sys

from rota.client import Client
from rota.worker import Context, Jobs
from tests.support import audit

GROUP = "gold"

jobs = Jobs()


@jobs.handler("numbers.double")
async def double(ctx: Context, n: int) -> int:
    """Return twice the number, after a while that depends on it."""
    with audit.recorded(ctx):
        await asyncio.sleep(n % 10 / 50)
    return 2 * n


async def _call(client: Client, n: int) -> None:
    doubled = await client.call("numbers.double", tenant="acme", key=f"n-{n}", n=n, timeout=60)
    sys.stdout.write(f"{n} {doubled}\n")
    sys.stdout.flush()


async def _main(count: int) -> None:
    async with Client(group=GROUP) as client:
        await asyncio.gather(*(_call(client, n) for n in range(count)))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
