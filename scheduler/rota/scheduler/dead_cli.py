"""The `sched dead` commands. Imports stay inside the bodies, so that `--help` answers fast."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rota.scheduler import consent, session
from rota.scheduler.options import Output, OutputOption

if TYPE_CHECKING:
    from rota.common.dead_letters import DeadLetter
    from rota.scheduler.dead import Filter

app = typer.Typer(no_args_is_help=True, help="List, show, replay or purge dead letters.")

JobIds = Annotated[list[str] | None, typer.Argument(metavar="JOB_ID...", help="Only these.")]
Group = Annotated[str, typer.Option(metavar="GROUP", help="Only of this group.")]
Tenant = Annotated[str, typer.Option(metavar="TENANT", help="Only of this tenant.")]
JobName = Annotated[str, typer.Option("--job", metavar="JOB", help="Only of this job.")]
Error = Annotated[str, typer.Option(metavar="KIND", help="Only of this kind, such as Timeout.")]
Older = Annotated[str, typer.Option(metavar="DURATION", help="Only if it died before, say 2d.")]
Newer = Annotated[str, typer.Option(metavar="DURATION", help="Only if it died since, say 1h.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


@app.command("list")
def list_(
    *,
    group: Group = "",
    tenant: Tenant = "",
    job: JobName = "",
    error: Error = "",
    older_than: Older = "",
    newer_than: Newer = "",
    form: OutputOption = Output.TABLE,
) -> None:
    """List dead letters, the latest of each group first."""
    from rota.common import clock, command
    from rota.scheduler import dead, output

    with command.exit_codes():
        wanted = _filter(
            None,
            group=group,
            tenant=tenant,
            job=job,
            error=error,
            older_than=older_than,
            newer_than=newer_than,
        )
        letters = session.ask(lambda link: dead.find(wanted, link))
        if form is Output.JSON:
            output.write_json([_shown(letter) for letter in letters])
            return
        output.write_table(
            "DEAD LETTERS",
            ("JOB_ID", "GROUP", "DIED", "ATTEMPTS", "ERROR", "MESSAGE"),
            [
                (x.job_id, x.group, clock.iso_seconds(x.died_ms), x.attempts,
                 x.error.kind, x.error.message.partition("\n")[0][:80])
                for x in letters
            ],
        )  # fmt: skip
        output.write_line(output.counted(len(letters), "dead letter"))


@app.command()
def show(
    job_id: Annotated[str, typer.Argument(metavar="JOB_ID")],
    form: OutputOption = Output.TABLE,
) -> None:
    """Show one dead letter: its payload, and why it died."""
    import msgspec

    from rota.common import command
    from rota.common.dead_letters import DeadLetters
    from rota.common.link import Link
    from rota.scheduler import dead, output

    async def read(link: Link) -> Any:
        (letter,) = await dead.find(dead.Filter(job_ids=(job_id,)), link)
        return letter, await DeadLetters(link).request(letter)

    with command.exit_codes():
        letter, request = session.ask(read)
        if form is Output.JSON:
            output.write_json(_shown(letter) | {"request": request})
            return
        data = _shown(letter) | {"handler": request.get("handler"), "phase": request.get("phase")}
        data["args"] = msgspec.json.encode(request.get("args")).decode()
        for name in ("job_id", "group", "died", "attempts", "handler", "phase", "args"):
            output.write_line(output.printable(f"{name + ':':10} {data[name]}"))
        output.write_line(output.printable(f"{letter.error.kind}: {letter.error.message}"))
        for line in letter.error.traceback.splitlines():
            output.write_line(output.printable(line))


def _verb(name: str, about: str) -> None:
    """Add the command that does `name` to the dead letters that are meant."""

    @app.command(name, help=about)
    def act(
        job_ids: JobIds = None,
        *,
        group: Group = "",
        tenant: Tenant = "",
        job: JobName = "",
        error: Error = "",
        older_than: Older = "",
        newer_than: Newer = "",
        yes: Yes = False,
        form: OutputOption = Output.TABLE,
    ) -> None:
        from rota.common import command

        with command.exit_codes():
            wanted = _filter(
                job_ids,
                group=group,
                tenant=tenant,
                job=job,
                error=error,
                older_than=older_than,
                newer_than=newer_than,
            )
            _act(name, wanted, yes, form)


_verb(
    "replay",
    "Try dead letters again, with all their attempts; not while another run of the job is on.",
)
_verb("purge", "Delete dead letters and their payload for good.")


def _filter(
    job_ids: list[str] | None,
    *,
    group: str,
    tenant: str,
    job: str,
    error: str,
    older_than: str,
    newer_than: str,
) -> "Filter":
    from rota.common.clock import SystemClock
    from rota.scheduler.dead import Filter

    now_ms = SystemClock().now_ms()
    return Filter(
        job_ids=tuple(job_ids or ()),
        group=group,
        tenant=tenant,
        job=job,
        error=error,
        died_from_ms=now_ms - _age(newer_than) if newer_than else 0,
        died_until_ms=now_ms - _age(older_than) if older_than else 0,
    )


def _age(text: str) -> int:
    from rota.common import duration
    from rota.common.errors import UsageError

    try:
        return duration.parse(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _act(verb: str, wanted: "Filter", yes: bool, form: Output) -> None:
    from rota.common.errors import UsageError
    from rota.scheduler import dead, output

    if wanted == dead.Filter():
        raise UsageError("say which: a JOB_ID, or a filter such as --tenant or --older-than")
    letters = session.ask(lambda link: dead.find(wanted, link))
    if dead.needs_consent(wanted, letters) and not yes:
        doing = f"{verb} {output.counted(len(letters), 'dead letter')}"
        consent.ask(f"{doing}?", nobody=f"not done: this would {doing}; add --yes", no="not done")
    act = dead.replay if verb == "replay" else dead.purge
    done = session.ask(lambda link: act(letters, link))
    if form is Output.JSON:
        output.write_json(done)
    else:
        for job_id in done.done:
            output.write_line(job_id)
        for refusal in done.refused:
            sys.stderr.write(f"no {verb} of {refusal.job_id}: {refusal.reason}\n")
        if not letters:
            sys.stderr.write(f"nothing to {verb}: no dead letter matches\n")
    sys.exit(6 if done.refused else 0)


def _shown(letter: "DeadLetter") -> dict[str, Any]:
    import msgspec

    from rota.common import clock

    data: dict[str, Any] = msgspec.to_builtins(letter)
    return data | {"died": clock.iso(letter.died_ms)}
