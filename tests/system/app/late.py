"""Handlers that no worker serves until one is started for them."""

from rota.worker import Context, Jobs
from tests.support import audit

jobs = Jobs()


@jobs.handler("late")
async def late(ctx: Context) -> None:
    """Do nothing but say so."""
    with audit.recorded(ctx):
        pass
