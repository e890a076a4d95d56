"""The tutorials in docs/: what a newcomer copies from them fits together."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from rota.common import message
from rota.scheduler import config
from rota.worker import Jobs

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def blocks(page: str, language: str) -> list[str]:
    """Return the pieces of code in one language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", ["units.md", "phases.md"])
def test_the_two_files_fit(page: str, tmp_path: Path) -> None:
    """The page has a whole `rota.yaml`, and a whole `jobs.py` with all handlers that it names."""
    (yaml,) = (text for text in blocks(page, "yaml") if text.startswith("groups:"))
    (code,) = (text for text in blocks(page, "python") if "jobs = Jobs()" in text)
    (tmp_path / "rota.yaml").write_text(yaml)
    module = ModuleType("jobs")
    exec(compile(code, page, "exec"), vars(module))  # noqa: S102 - as the newcomer does
    jobs = module.jobs
    assert isinstance(jobs, Jobs)
    for job in config.load(tmp_path / "rota.yaml").jobs:
        for name, args in job.calls:
            jobs.handlers[name].arguments.decode(message.encode(args))
