"""The `sched` command as people and programs meet it: exit codes, data, messages."""

import asyncio
import json
import os
import signal
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from rota.common.catalog import Catalog
from rota.common.clock import SystemClock
from rota.common.embedded import free_port
from rota.common.store import Store
from rota.worker import Context, Fatal, Jobs
from tests.support import builders, probe
from tests.support.builders import GROUP, HANDLER
from tests.support.definitions import job
from tests.support.workers import working

pytestmark = pytest.mark.system

COMMANDS = [
    *("dev", "run", "check", "next", "schema", "status", "trigger", "cancel", "dead"),
    *("plan", "apply", "rollback", "revisions"),
    *("runs", "why", "tenants", "fairness"),
]
NOWHERE = f"redis://:s3cret@127.0.0.1:{free_port()}/0"  # nobody listens there
CONFIG = """
groups: {gold: {}}
tenants:
  acme:
    group: gold
    jobs:
      import: {handler: orders.import, cron: "0 3 * * *", timezone: Europe/Berlin}
      sync: {handler: crm.sync, after: 5m}
"""
INVALID = """
groups: {gold: {}}
tenants:
  acme:
    group: golf
    jobs:
      import: {handler: orders.import, evry: 15m}
      sync: {handler: crm.sync, after: 5x}
"""
HEAVY = ("redis", "apscheduler", "msgspec", "structlog", "yaml", "jsonschema", "rich")
LEAN = """
import sys
from typer.testing import CliRunner
from rota.scheduler.cli import app
print(CliRunner().invoke(app, sys.argv[1:]).exit_code, *sys.modules)
"""

handlers = Jobs()


@handlers.handler(HANDLER)
async def import_orders(ctx: Context) -> dict[str, int]:
    """Return something."""
    return {"orders": 3}


@handlers.handler("give-up")
async def give_up(ctx: Context) -> None:
    """Fail for good."""
    raise Fatal("no such customer")


class Done(NamedTuple):
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Return what it printed as JSON."""
        return json.loads(self.out)


async def begin(
    *words: str, url: str = NOWHERE, cwd: Path | None = None, **environment: str
) -> asyncio.subprocess.Process:
    """Start `python WORDS`, with nothing of ours in the environment but what is given."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROTA_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=cwd,
        env=inherited | {"ROTA_REDIS_URL": url} | environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process) -> Done:
    """Return what a command left, once it has ended."""
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def sched(*words: str, **options: Any) -> Done:
    """Run `sched WORDS` to its end."""
    return await end(await begin("-m", "rota.scheduler", *words, **options))


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return the path of a valid configuration."""
    (tmp_path / "rota.yaml").write_text(CONFIG)
    return str(tmp_path / "rota.yaml")


@pytest.fixture
def invalid(tmp_path: Path) -> str:
    """Return the path of a configuration with three mistakes."""
    (tmp_path / "invalid.yaml").write_text(INVALID)
    return str(tmp_path / "invalid.yaml")


async def publish(store: Store, **over: Any) -> None:
    """Make the job acme/import known to the store."""
    await Catalog(store.link).publish(GROUP, [job(every="1h", **over)])


@pytest.mark.parametrize("command", COMMANDS)
async def test_help(command: str) -> None:
    """Each command explains itself."""
    done = await sched(command, "--help")

    assert (0, "") == (done.code, done.err)
    assert command in done.out


async def test_exit_codes_are_told() -> None:
    """`sched --help` lists the commands, and says what each exit code means."""
    done = await sched("--help")
    text = " ".join(done.out.split())

    assert 0 == done.code
    assert all(f"\n  {command} " in done.out for command in COMMANDS)
    assert (
        "0 ok, 1 unexpected, 2 usage, 3 config invalid, 4 store unreachable, 5 not found, "
        "6 refused, 7 timed out"
    ) in text


async def test_version() -> None:
    """`sched --version` tells the name and the version of the distribution."""
    assert (0, f"rota {metadata.version('rota')}\n", "") == await sched("--version")


@pytest.mark.parametrize("words", [(), ("status",), ("dev",)])
async def test_help_is_lean(words: tuple[str, ...]) -> None:
    """Help imports nothing heavy, so that it answers fast."""
    done = await end(await begin("-c", LEAN, *words, "--help"))
    code, *modules = done.out.split()

    assert "0" == code, done.err
    assert [] == [name for name in HEAVY if name in modules]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("nothing",), "nothing"),
        (("trigger", "acme"), "expected TENANT/JOB"),
        (("trigger", "acme/a/b"), "expected TENANT/JOB"),
        (("trigger", "acme/import", "--timeout", "1s"), "--timeout goes with --wait"),
        (("trigger", "acme/import", "--wait", "--timeout", "soon"), "'soon' is no duration"),
        (("next", "/import"), "expected TENANT/JOB"),
        (("cancel", "foo"), "expected a JOB_ID"),
        (("cancel", "acme/import"), "TENANT/JOB:DUE"),
        (("next", "acme/import", "-n", "0"), "-n"),
        (("status", "-o", "xml"), "'table', 'json'"),
        (("check",), "CONFIG"),
        (("dev", "--workers", "0"), "--workers"),
    ],
)
async def test_bad_usage(words: tuple[str, ...], hint: str) -> None:
    """A command line that is wrong exits with 2, says what is wrong, and prints no data."""
    done = await sched(*words)

    assert (2, "") == (done.code, done.out)
    assert hint in done.err


@pytest.mark.parametrize(
    ("variable", "value"), [("ROTA_REDIS_URL", "http://x"), ("ROTA_LOG_LEVEL", "loud")]
)
async def test_bad_environment(variable: str, value: str, config: str) -> None:
    """A wrong environment variable is a wrong usage."""
    done = await sched("run", config, **{variable: value})

    assert (2, "") == (done.code, done.out)
    assert "ROTA_" in done.err


@pytest.mark.parametrize("words", [("check",), ("run",), ("next", "acme/import", "--config")])
async def test_invalid_config(words: tuple[str, ...], invalid: str) -> None:
    """An invalid configuration exits with 3; every mistake is told with file, line and column."""
    done = await sched(*words, invalid)

    assert (3, "") == (done.code, done.out)
    assert all(f"{invalid}:{place}" in done.err for place in ("5:12", "7:40", "8:40")), done.err
    assert "3 problems in 1 file" in done.err


async def test_invalid_config_as_json(invalid: str) -> None:
    """Programs get the mistakes as data."""
    done = await sched("check", invalid, "-o", "json")

    assert (3, "") == (done.code, done.err)
    assert not done.data["ok"]
    assert [5, 7, 8] == [problem["line"] for problem in done.data["problems"]]
    assert {invalid} == {problem["file"] for problem in done.data["problems"]}


async def test_valid_config(config: str) -> None:
    """A valid configuration is counted; no store is needed for that."""
    text, data = await sched("check", config), await sched("check", config, "-o", "json")

    assert (0, "ok: 1 group, 1 tenant, 2 jobs\n", "") == text
    assert {"ok": True, "groups": 1, "tenants": 1, "jobs": 2, "mismatches": [], "warnings": []} == (
        data.data
    )


async def test_config_with_warnings(tmp_path: Path) -> None:
    """What is written in vain is told with its place, and is no error unless one asks for that."""
    file = tmp_path / "rota.yaml"
    job = "{handler: h, after: 5m, misfire: all}"
    file.write_text(f"groups: {{g: {{}}}}\ntenants: {{t: {{group: g, jobs: {{j: {job}}}}}}}\n")
    text, strict = await sched("check", str(file)), await sched("check", str(file), "--strict")
    data = (await sched("check", str(file), "-o", "json")).data

    assert (0, "ok: 1 group, 1 tenant, 1 job, 1 warning\n") == (text.code, text.out)
    assert "warning: misfire has no effect: with `after`" in text.err
    assert f"{file}:2:59" in text.err
    assert (3, "not ok: 1 group, 1 tenant, 1 job, 1 warning\n") == (strict.code, strict.out)
    assert (True, ["warning"]) == (data["ok"], [each["severity"] for each in data["warnings"]])


async def test_live_check(url: str, store: Store, config: str) -> None:
    """A configuration that the workers can't execute exits with 3, and names the jobs."""
    await builders.register(store, "w1", "orders.import")
    text = await sched("check", config, "--live", url=url)
    data = await sched("check", config, "--live", "-o", "json", url=url)

    assert 3 == text.code == data.code
    assert "acme/sync" in text.out
    assert "not ok: 1 group," in text.out
    assert not data.data["ok"]
    assert ["crm.sync"] == [mismatch["handler"] for mismatch in data.data["mismatches"]]

    await builders.register(store, "w2", "crm.sync")

    assert 0 == (await sched("check", config, "--live", url=url)).code


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("trigger", "acme/import"),
        ("next", "acme/import"),
        ("check", "--live"),
        ("run",),
        ("plan",),
        ("apply", "--yes"),
        ("rollback", "--yes"),
        ("revisions",),
    ],
)
async def test_store_unreachable(words: tuple[str, ...], config: str) -> None:
    """A store that can't be reached exits with 4, soon; its address is told, its password not."""
    clock = SystemClock()
    began = clock.monotonic()
    given = (config,) if words[0] in ("check", "run", "plan", "apply") else ()
    done = await sched(*words, *given)

    assert (4, "") == (done.code, done.out)
    assert NOWHERE.rpartition("@")[2] in done.err
    assert "s3cret" not in done.err
    assert 1 == len(done.err.splitlines())
    assert 5 > clock.monotonic() - began


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("trigger", "acme/nothing"), "acme/nothing"),
        (("next", "acme/nothing"), "acme/nothing"),
        (("status", "--tenant", "nobody"), "nobody"),
    ],
)
async def test_not_found(url: str, store: Store, words: tuple[str, ...], named: str) -> None:
    """What the store does not know exits with 5 and is named."""
    await publish(store)
    done = await sched(*words, url=url)

    assert (5, "") == (done.code, done.out)
    assert named in done.err


async def test_not_found_in_the_config(config: str) -> None:
    """What the configuration does not have exits with 5 and is named, with the file."""
    done = await sched("next", "acme/nothing", "--config", config)

    assert (5, "") == (done.code, done.out)
    assert f"no job acme/nothing in {config}" in done.err


async def test_next_needs_no_store(config: str) -> None:
    """The coming times of a job can be read off the configuration alone."""
    text = await sched("next", "acme/import", "--config", config, "-n", "3")
    data = await sched("next", "acme/import", "--config", config, "-o", "json")

    assert 0 == text.code == data.code
    assert "acme/import  cron 0 3 * * *  (Europe/Berlin)" == text.out.splitlines()[0]
    assert 3 == text.out.count("T03:00:00+0")
    assert 10 == len(data.data["times"])
    assert "Europe/Berlin" == data.data["timezone"]


async def test_next_marks_blackouts(tmp_path: Path) -> None:
    """What falls due in a blackout is marked, with its reason, and the rest is not."""
    file = tmp_path / "rota.yaml"
    blackout = "{between: 00:00..12:00, reason: rest}"
    file.write_text(
        "groups: {gold: {}}\ntenants: {acme: {group: gold, jobs: {import: {handler: h,"
        f" every: 12h, phase: 1h, blackout: [{blackout}]}}}}}}}}\n"
    )
    text = await sched("next", "acme/import", "--config", str(file), "-n", "4")
    data = await sched("next", "acme/import", "--config", str(file), "-n", "4", "-o", "json")

    assert 0 == text.code == data.code
    assert "acme/import  every 12h phase 1h  (UTC)" == text.out.splitlines()[0]
    assert 2 == text.out.count("T01:00:00Z  00:00..12:00 (rest)")
    assert ["", "", "00:00..12:00 (rest)", "00:00..12:00 (rest)"] == sorted(
        time["blackout"] for time in data.data["times"]
    )


async def test_next_of_a_fixed_delay(config: str) -> None:
    """A fixed delay has no times to show, and says why."""
    done = await sched("next", "acme/sync", "--config", config)

    assert 0 == done.code
    assert "due 5m after its last run has ended" in done.out


async def test_next_from_the_store(url: str, store: Store) -> None:
    """The coming times of a published job need no configuration."""
    await publish(store)
    done = await sched("next", "acme/import", "-n", "2", "-o", "json", url=url)

    assert (0, "every 1h", 2) == (done.code, done.data["schedule"], len(done.data["times"]))


async def test_schema() -> None:
    """The schema is a JSON Schema that knows the sections of a configuration."""
    done = await sched("schema")
    jsonschema.Draft202012Validator.check_schema(done.data)

    assert (0, "") == (done.code, done.err)
    assert all(f'"{name}"' in done.out for name in ("defaults", "templates", "groups", "tenants"))


async def test_status(url: str, store: Store) -> None:
    """The status is data on standard output, for people or as JSON, and nothing else."""
    await publish(store)
    text, data = await sched("status", url=url), await sched("status", "-o", "json", url=url)

    assert (0, 0, "", "") == (text.code, data.code, text.err, data.err)
    assert "GROUPS\n" in text.out
    assert "\x1b" not in text.out
    assert data.data["jobs"] is None
    trouble = {"paused", "breakers", "stale"}
    assert {"groups", "tenants", "jobs", "runs", "workers"} | trouble == data.data.keys()


async def test_trigger(url: str, store: Store) -> None:
    """Triggering prints the job_id of the run; while that is in flight it is refused with 6."""
    await publish(store)
    first = await sched("trigger", "acme/import", url=url)
    again = await sched("trigger", "acme/import", url=url)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert (0, f"{slot.run}\n", "") == first
    assert (6, "") == (again.code, again.out)
    assert str(slot.run) in again.err


async def test_trigger_as_json(url: str, store: Store) -> None:
    """Programs get the job_id as data."""
    await publish(store)
    done = await sched("trigger", "acme/import", "-o", "json", url=url)

    assert done.data["job_id"].startswith("acme/import:manual-")


async def test_trigger_and_wait(url: str, store: Store) -> None:
    """Who waits for a run that succeeds gets its result, and exit code 0."""
    await publish(store)
    async with working(url, handlers):
        text = await sched("trigger", "acme/import", "--wait", url=url)
        data = await sched("trigger", "acme/import", "--wait", "-o", "json", url=url)

    assert (0, 0, "", "") == (text.code, data.code, text.err, data.err)
    assert "succeeded" in text.out
    assert '{"orders":3}' in text.out
    assert ("succeeded", {"orders": 3}) == (data.data["outcome"], data.data["result"])


async def test_trigger_and_wait_in_vain(url: str, store: Store) -> None:
    """Who waits no longer than so long gets the job_id, a hint, and an exit code of its own."""
    await publish(store)
    done = await sched("trigger", "acme/import", "--wait", "--timeout", "300ms", url=url)
    (slot,) = await Catalog(store.link).slots(GROUP, ["acme/import"])

    assert (7, f"{slot.run}\n") == (done.code, done.out)
    assert f"{slot.run} is not over after 300ms; it goes on" in done.err


async def test_trigger_and_wait_for_a_failure(url: str, store: Store) -> None:
    """Who waits for a run that fails gets the reason, and exit code 1."""
    await publish(store, handler="give-up")
    async with working(url, handlers):
        text = await sched("trigger", "acme/import", "--wait", url=url)
        data = await sched("trigger", "acme/import", "--wait", "-o", "json", url=url)

    assert 1 == text.code == data.code
    assert "Fatal: no such customer" in text.out
    assert ("dead", "Fatal") == (data.data["outcome"], data.data["error"]["kind"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run(url: str, store: Store, config: str, number: signal.Signals) -> None:
    """The daemon publishes, logs JSON to standard error only, and ends with 0 when asked to."""
    process = await begin("-m", "rota.scheduler", "run", config, url=url)
    assert process.stderr is not None
    profile, applied, followed, first = [
        json.loads(await asyncio.wait_for(process.stderr.readline(), 10)) for _ in range(4)
    ]
    known = await probe.found(lambda: Catalog(store.link).jobs(GROUP))
    process.send_signal(number)
    done = await end(process)
    events = [json.loads(line)["event"] for line in done.err.splitlines()]

    assert ["store_profile", "config_applied", "revision_followed"] == [
        line["event"] for line in (profile, applied, followed)
    ]
    assert ("scheduler_started", 2, "info") == (first["event"], first["jobs"], first["level"])
    assert ["acme/import", "acme/sync"] == [each.ref for each in known]
    assert (0, "") == (done.code, done.out)
    assert "scheduler_stopped" == events[-1]
