"""Whoever follows a run hears when the store is gone."""

import pytest

from rota.common.catalog import Catalog
from rota.common.errors import StoreUnavailable
from rota.common.link import Link
from rota.common.store import Store
from rota.scheduler.live_run import LiveRun
from rota.scheduler.onlooker import Onlooker
from tests.support import builders
from tests.support.builders import GROUP, Clock
from tests.support.definitions import job
from tests.support.logbook import Logbook
from tests.support.proxy import Proxy


async def test_store_is_gone(url: str, store: Store) -> None:
    """A store that is away for 30 s in a row is given up, with the exit code for that."""
    await Catalog(store.link).publish(GROUP, [job(every="1h")])
    run = builders.occurrence()
    await builders.enqueue(store, run)
    clock, shown = Clock(), list[LiveRun]()
    async with Proxy(url) as proxy:
        link = Link(proxy.url)
        try:
            onlooker = Onlooker(
                run.job_id, link=link, show=shown.append, log=Logbook().log, clock=clock
            )
            clock.advance(29)
            await onlooker.turn()  # it answers, so its time begins anew
            await proxy.cut()
            clock.advance(29)
            with pytest.raises(StoreUnavailable):  # the loop tries it again
                await onlooker.turn()
            clock.advance(2)
            with pytest.raises(StoreUnavailable):
                await onlooker.turn()
            with pytest.raises(StoreUnavailable, match=f"31 s, {run.job_id} may go on") as caught:
                await onlooker.end()
        finally:
            await link.close()

    assert ["queued"] == [each.entry.outcome for each in shown]
    assert 4 == caught.value.exit_code
