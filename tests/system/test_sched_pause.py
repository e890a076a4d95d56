"""`sched pause` and `sched resume` as people and programs meet them."""

from pathlib import Path

import pytest

from rota.common.store import Store
from tests.system.test_sched_cli import sched

pytestmark = pytest.mark.system

ROTA = """\
groups: {gold: }
tenants:
  acme: {group: gold, jobs: {import: {handler: h, every: 1h}, export: {handler: h, every: 1h}}}
"""


async def test_a_pause(url: str, store: Store, tmp_path: Path) -> None:
    """A pause is shown wherever one looks, stays through a plan, and ends when it is resumed."""
    file = tmp_path / "rota.yaml"
    file.write_text(ROTA)
    await sched("apply", str(file), "--yes", url=url)
    paused = await sched("pause", "acme/import", "--reason", "data migration", url=url)
    status = await sched("status", url=url)
    data = (await sched("status", "-o", "json", url=url)).data
    plan = await sched("plan", str(file), url=url)
    resumed = await sched("resume", "acme/import", url=url)

    assert (0, True) == (paused.code, paused.out.startswith("acme/import paused; schedulers keep"))
    assert "PAUSED (1 job)" in status.out
    assert [("acme/import", 1, "data migration")] == [
        (row["paused"], row["jobs"], row["why"]) for row in data["paused"]
    ]
    assert ([], []) == (data["breakers"], data["stale"])
    assert "overrides that stay\n    acme/import is paused, since " in plan.out
    assert (0, "acme/import resumed\n") == (resumed.code, resumed.out)


async def test_mistakes(url: str, store: Store) -> None:
    """What is no name is a mistake of usage; what nobody knows is not found."""
    wrong = await sched("pause", "acme/import/x", url=url)
    unknown = await sched("pause", "acme", url=url)

    assert (2, True) == (wrong.code, "is neither TENANT nor TENANT/JOB" in wrong.err)
    assert (5, True) == (unknown.code, "no tenant acme is configured" in unknown.err)
