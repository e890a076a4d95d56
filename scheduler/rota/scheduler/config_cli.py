"""`sched plan`, `apply`, `rollback` and `revisions`. Imports inside, so that help answers fast."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rota.scheduler import consent, session
from rota.scheduler.options import Output, OutputOption

if TYPE_CHECKING:
    from rota.common.link import Link
    from rota.common.revisions import Revision
    from rota.scheduler.applier import Standing
    from rota.scheduler.config import Config
    from rota.scheduler.plan import Plan

app = typer.Typer()

ConfigArgument = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A YAML file, or a directory of them.")
]
All = Annotated[bool, typer.Option("--all", help="Tell of everything, not of the first 20.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@app.command()
def plan(
    config: ConfigArgument,
    everything: All = False,
    detailed: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 2 if anything would change.")
    ] = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Show what a configuration would change against what is applied; it changes nothing."""
    from rota.common import command
    from rota.scheduler import config as configs

    with command.exit_codes():
        loaded = configs.load(config)
        _, known, made = session.ask(lambda link: _plan(link, loaded, everything))
        _show(made, known, form)
        sys.exit(2 if detailed and made.changes else 0)


@app.command()
def apply(
    config: ConfigArgument,
    yes: Yes = False,
    everything: All = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Make a configuration the one that all schedulers follow, after a look at what it changes.

    All of it or nothing. Refused if somebody applied another one meanwhile.
    """
    from rota.common import command
    from rota.scheduler import config as configs

    with command.exit_codes():
        _apply(configs.load(config), f"sched apply {config}", yes, everything, form)


@app.command()
def rollback(
    revision: Annotated[
        int | None,
        typer.Argument(metavar="[REVISION]", help="Its number; the one before, if not given."),
    ] = None,
    yes: Yes = False,
    everything: All = False,
    form: OutputOption = Output.TABLE,
) -> None:
    """Apply an earlier revision again, as a new one."""
    from rota.common import command
    from rota.scheduler.applier import Applier

    async def read(link: "Link") -> "Standing":
        applier = Applier(link, command="")
        kept = await applier.revisions.kept()
        return await applier.read(_chosen(kept, await applier.revisions.current(), revision))

    with command.exit_codes():
        earlier = session.ask(read)
        name = f"sched rollback {earlier.revision.number}"
        _apply(earlier.applied.config, name, yes, everything, form)


@app.command()
def revisions(form: OutputOption = Output.TABLE) -> None:
    """List the revisions that are kept, the last 20; the current one is marked."""
    import msgspec

    from rota.common import command
    from rota.common.revisions import Revisions
    from rota.scheduler import output, plan_page

    async def read(link: "Link") -> tuple[list["Revision"], str]:
        return await Revisions(link).kept(), await Revisions(link).current_name()

    with command.exit_codes():
        kept, current = session.ask(read)
        if form is Output.JSON:
            rows = [msgspec.to_builtins(r) | {"current": r.name == current} for r in kept]
            output.write_json(rows)
        else:
            plan_page.show_revisions(kept, current)


def _chosen(kept: "list[Revision]", current: "Revision | None", wanted: int | None) -> "Revision":
    from rota.common.errors import NotFound

    if current is None:
        raise NotFound("nothing was applied yet, so there is nothing to go back to")
    earlier = [each for each in kept if each.number < current.number]
    found = earlier[:1] if wanted is None else [each for each in kept if each.number == wanted]
    if not found:
        numbers = ", ".join(str(each.number) for each in reversed(kept))
        which = "an earlier revision" if wanted is None else f"revision {wanted}"
        raise NotFound(f"{which} is not kept; there are: {numbers}")
    return found[0]


async def _plan(
    link: "Link", config: "Config", everything: bool
) -> "tuple[Standing | Revision | None, Revision | None, Plan]":
    """Return what is applied, its revision, and what `config` would change."""
    from rota.common.catalog import Catalog
    from rota.common.pauses import Pauses
    from rota.common.revisions import Unreadable
    from rota.scheduler import plan as plans
    from rota.scheduler.applier import Applier

    applier = Applier(link, command="")
    known = await applier.revisions.current()
    standing = None
    try:
        standing = await applier.read(known) if known else None
    except Unreadable as error:
        sys.stderr.write(f"{error}; all counts as added\n")
    made = await plans.make(
        standing,
        config,
        Catalog(link),
        now_ms=await applier.revisions.now_ms(),
        everything=everything,
    )
    made = plans.with_overrides(made, await Pauses(link).read())
    return standing or known, known, made


def _apply(config: "Config", name: str, yes: bool, everything: bool, form: Output) -> None:
    from rota.scheduler import output
    from rota.scheduler.applier import Applier

    before, known, made = session.ask(lambda link: _plan(link, config, everything))
    if not yes:
        _ask(made, known, form)
    revision = session.ask(lambda link: Applier(link, command=name).apply(config, before))
    if form is Output.JSON:
        output.write_json({"revision": revision.number, "plan": made})
        return
    if yes:  # not before it is applied: whoever reads our output may not read all of it
        _show(made, known, form)
    if made.changes:
        output.write_line(f"revision {revision.number} applied; schedulers follow within seconds")


def _ask(made: "Plan", known: "Revision | None", form: Output) -> None:
    if form is Output.TABLE:
        _show(made, known, form)
    if made.changes:
        consent.ask(
            f"apply this to revision {made.revision}?",
            nobody="not applied: nobody is there to say yes; add --yes",
            no="not applied",
        )


def _show(plan: "Plan", known: "Revision | None", form: Output) -> None:
    from rota.scheduler import output, plan_page

    if form is Output.JSON:
        output.write_json(plan)
    else:
        plan_page.show(plan, known)
