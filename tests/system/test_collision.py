"""A user's project may have packages named like parts of ours."""

import inspect
from pathlib import Path

import pytest

from tests.support import waits
from tests.support.processes import Plant

pytestmark = pytest.mark.system

PROJECT = {
    "common/__init__.py": "NAME = 'common of the user'\n",
    "common/journal.py": """
        import json, os

        def note(ctx, *words):
            line = {"event": "start", "job": f"{ctx.tenant}/{ctx.job}", "job_id": ctx.job_id,
                    "attempt": ctx.attempt, "fence": ctx.fence, "pid": os.getpid(), "at": 0.0,
                    "words": words}
            with open(os.environ["ROTA_TEST_AUDIT"], "a") as file:
                file.write(json.dumps(line) + "\\n")
    """,
    "scheduler/__init__.py": "from common import NAME\n",
    "scheduler/daemon.py": "import scheduler\nWORD = 'scheduler of the user'\n",
    "worker/__init__.py": "from scheduler.daemon import WORD\n",
    "worker/registry.py": "WORD = 'worker of the user'\n",
    "worker/jobs.py": """
        from common.journal import note
        from rota.worker import Jobs
        from scheduler import NAME
        from worker import WORD
        from worker.registry import WORD as OWN

        jobs = Jobs()

        @jobs.handler("on.loop")
        async def on_loop(ctx):
            import common
            note(ctx, common.NAME, NAME, WORD, OWN)

        @jobs.handler("in.thread")
        def in_thread(ctx):
            import scheduler.daemon
            note(ctx, NAME, scheduler.NAME, scheduler.daemon.WORD, OWN)

        @jobs.handler("in.process", isolation="process")
        def in_process(ctx):
            import worker.registry
            note(ctx, NAME, NAME, WORD, worker.registry.WORD)
    """,
    "rota.yaml": """
        groups: {gold: {}}
        tenants:
          acme:
            group: gold
            jobs:
              loop: {handler: on.loop, every: 200ms}
              thread: {handler: in.thread, every: 200ms}
              process: {handler: in.process, after: 200ms}
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a user's project."""
    folder = tmp_path / "project"
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(inspect.cleandoc(text) + "\n")
    return folder


def test_packages_named_like_ours_work_unchanged(tmp_path: Path, project: Path) -> None:
    """Top-level packages `common`, `scheduler` and `worker` of the user's are what handlers get.

    Both commands are started in the project's folder, where these packages lie.
    """
    words = ["common of the user"] * 2 + ["scheduler of the user", "worker of the user"]
    with Plant(tmp_path, PYTHONPATH="") as plant:
        plant.start("sched", "-m", "rota.scheduler", "run", "rota.yaml", cwd=project)
        worker = plant.start_worker("worker.jobs", cwd=project)
        jobs = {"acme/loop", "acme/thread", "acme/process"}
        waits.until(lambda: all(len(plant.audit().of(job)) >= 3 for job in jobs), 30.0)
        audit = plant.audit()
        troubles = [line for line in worker.log() if line["level"] in ("warning", "error")]

    assert jobs == {line["job"] for line in audit.lines}
    assert [words] == list({str(line["words"]): line["words"] for line in audit.lines}.values())
    assert [] == troubles
