"""`sched check`. Imports stay inside the bodies, so that `--help` is fast."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rota.scheduler import session
from rota.scheduler.options import Output, OutputOption

if TYPE_CHECKING:
    from rota.scheduler.config import Config, Problem
    from rota.scheduler.live_check import Mismatch

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML file, or a directory of them.")
]
Live = Annotated[bool, typer.Option("--live", help="Also hold it against what the workers serve.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 3 if there are warnings.")]


def check(
    config: ConfigArgument,
    *,
    live: Live = False,
    strict: Strict = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Validate a configuration; every error with its place and what to do.

    What is valid and has no effect, such as `misfire` beside `after`, is told as a warning.
    """
    from rota.common import command
    from rota.scheduler import config as configs
    from rota.scheduler import output

    with command.exit_codes():
        try:
            loaded, warnings = configs.check(config)
        except configs.InvalidConfig as error:
            if form is Output.JSON:
                output.write_json({"ok": False, "problems": _data(error.problems)})
                sys.exit(error.exit_code)
            raise
        mismatches = _compare(loaded) if live else []
        good = not mismatches and not (strict and warnings)
        if form is Output.JSON:
            told = {"mismatches": mismatches, "warnings": _data(warnings)}
            output.write_json({"ok": good, **_sizes(loaded), **told})
        else:
            _show(loaded, mismatches, warnings, good=good)
        sys.exit(0 if good else 3)


def _show(
    loaded: "Config", mismatches: "list[Mismatch]", warnings: "list[Problem]", *, good: bool
) -> None:
    from rota.scheduler import output
    from rota.scheduler.config.diagnostic import SHOWN

    for warning in warnings[:SHOWN]:
        sys.stderr.write(f"{warning.render()}\n\n")
    if len(warnings) > SHOWN:
        sys.stderr.write(f"... and {output.counted(len(warnings) - SHOWN, 'more warning')}\n\n")
    output.write_table(
        "NOT SERVED AS CONFIGURED",
        ("JOB", "HANDLER", "REASON"),
        [(m.job, m.handler, m.reason) for m in mismatches],
    )
    counts = [output.counted(n, name[:-1]) for name, n in _sizes(loaded).items()]
    counts += [output.counted(len(warnings), "warning")] if warnings else []
    output.write_line(f"{'ok' if good else 'not ok'}: {', '.join(counts)}")


def _sizes(loaded: "Config") -> dict[str, int]:
    sizes = {"groups": len(loaded.groups), "tenants": len(loaded.tenants)}
    return sizes | {"jobs": len(loaded.jobs)}


def _data(problems: "list[Problem]") -> list[dict[str, Any]]:
    return [problem.to_dict() for problem in problems]


def _compare(loaded: "Config") -> "list[Mismatch]":
    from rota.common.catalog import Catalog
    from rota.scheduler import live_check

    return session.ask(lambda link: live_check.compare(loaded, Catalog(link)))
