"""Who is measured: each with the packages that it needs, and about how fast it is."""

import sys
from pathlib import Path
from typing import Any, NamedTuple

APPS = Path(__file__).parent / "apps"


class Contender(NamedTuple):
    """One system, or one way to run it."""

    name: str
    script: str  # in `apps`
    pace: int  # jobs a second, roughly: for how many jobs a race of some seconds takes
    packages: tuple[str, ...] = ()  # from PyPI, or npm; none: it runs where we run
    shown: str = ""  # the package whose version is told
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def is_node(self) -> bool:
        """Tell whether it runs on Node."""
        return self.script.endswith(".cjs")

    def command(self, home: Path, *words: str) -> list[str]:
        """Return the command line of its script, whose environment is below `home`."""
        if self.is_node:
            program = "node"
        elif self.packages:
            program = str(home / "python" / self.name / "bin" / "python")
        else:
            program = sys.executable
        return [program, str(APPS / self.script), *words]


def _peer(name: str, pace: int, *needed: str, **others: Any) -> Contender:
    packages = needed or (name,)
    return Contender(name, f"on_{name}.py", pace, packages, packages[-1], **others)


ROTA = Contender("rota", "on_rota.py", 7_500)
WIDE = Contender(
    "rota --concurrency 250", "on_rota.py", 12_000, environment=(("BENCH_CONCURRENCY", "250"),)
)
BARE = Contender("bare loop", "on_bare.py", 90_000)
CONTENDERS = (
    ROTA,
    WIDE,
    BARE,
    Contender("bullmq", "on_bullmq.cjs", 18_000, ("ioredis", "bullmq"), "bullmq"),
    _peer("huey", 2_800, "redis", "huey"),
    _peer("dramatiq", 2_000, "redis", "dramatiq"),
    _peer("saq", 1_600, "redis", "hiredis", "typing_extensions", "saq"),
    _peer("taskiq", 2_400, "taskiq-redis", "taskiq"),
    _peer("streaq", 1_400),
    _peer("arq", 2_000),
    _peer("celery", 850, "redis", "celery"),
    _peer("docket", 400, "pydocket", environment=(("BENCH_CONCURRENCY", "50"),)),
    _peer("rq", 280),
)
