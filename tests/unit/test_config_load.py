"""One file or a directory of files is a configuration, quickly, and in one order."""

import os
from importlib import import_module
from pathlib import Path

import pytest

from rota.scheduler import config
from rota.scheduler.config import InvalidConfig, Problem, diagnostic, document

BASE = "groups: {g: {}}\ntemplates: {t: {j: {handler: h, every: 1h}, k: {handler: h, after: 1h}}}\n"


def problems(path: Path) -> list[Problem]:
    """Return what is wrong with the configuration at `path`."""
    with pytest.raises(InvalidConfig) as caught:
        config.load(path)
    return caught.value.problems


def tenant(number: int) -> str:
    """Return a tenant with two jobs of its own and two by template."""
    return (
        f"  tenant-{number}:\n    group: g\n    timezone: Europe/Berlin\n    use: [t]\n    jobs:\n"
        f"      orders: {{handler: orders.import, every: 15m, args: {{account: {number}}}}}\n"
        f'      report: {{handler: reports.monthly, cron: "{number % 60} 6 1 * *"}}\n'
    )


def write_tenants(directory: Path, numbers: list[int]) -> None:
    """Write one file per tenant, and one for what they share."""
    for number in numbers:
        (directory / f"tenant-{number}.yaml").write_text("tenants:\n" + tenant(number))
    (directory / "base.yml").write_text(BASE)


def test_a_directory_and_one_file_mean_the_same(tmp_path: Path) -> None:
    """Where things stand changes nothing: jobs are ordered by tenant and name."""
    one, many = tmp_path / "one.yaml", tmp_path / "many"
    one.write_text(BASE + "tenants:\n" + "".join(tenant(number) for number in (3, 1, 2)))
    (many / "deep" / "er").mkdir(parents=True)
    write_tenants(many / "deep" / "er", [2, 3])
    write_tenants(many, [1])
    (many / "base.yml").unlink()

    first, second = config.load(one), config.load(many)

    assert first.jobs == second.jobs
    assert sorted(job.ref for job in first.jobs) == [job.ref for job in first.jobs]
    assert ["tenant-1", "tenant-2", "tenant-3"] == list(second.tenants)
    assert [str(one)] == first.files
    assert sorted(second.files) == second.files


def test_the_order_of_creation_changes_nothing(tmp_path: Path) -> None:
    """The same files give the same configuration, in whatever order the directory lists them."""
    for name, numbers in {"a": [1, 2, 3], "b": [3, 2, 1]}.items():
        (tmp_path / name).mkdir()
        write_tenants(tmp_path / name, numbers)

    first, second = config.load(tmp_path / "a"), config.load(tmp_path / "b")

    assert (first.jobs, first.tenants) == (second.jobs, second.tenants)


def test_hidden_and_other_files_are_left_out(tmp_path: Path) -> None:
    """Hidden files, hidden directories and files that are no YAML by name are not read."""
    write_tenants(tmp_path, [1])
    (tmp_path / ".git").mkdir()
    for ignored in (".git/x.yaml", ".swp.yaml", "notes.txt", "x.yaml~"):
        (tmp_path / ignored).write_text("[")

    assert ["base.yml", "tenant-1.yaml"] == [
        Path(file).name for file in config.load(tmp_path).files
    ]


def test_files_behind_links_are_read(tmp_path: Path) -> None:
    """A mounted ConfigMap, whose files are links into a hidden directory, is read once."""
    hidden = tmp_path / "..data"
    hidden.mkdir()
    write_tenants(hidden, [1])
    for file in hidden.iterdir():
        (tmp_path / file.name).symlink_to(file)

    assert 4 == len(config.load(tmp_path).jobs)


@pytest.mark.parametrize(
    ("again", "line", "column", "message"),
    [
        ("tenants:\n  a: {group: g}\n", 2, 3, "tenant `a` is declared twice"),
        ("\ngroups: {g: {}}\n", 2, 10, "group `g` is declared twice"),
        ("templates: {t: {}}\n", 1, 13, "template `t` is declared twice"),
        ("defaults: {}\n", 1, 1, "the defaults are declared twice"),
    ],
)
def test_what_two_files_declare_is_a_problem(
    tmp_path: Path, again: str, line: int, column: int, message: str
) -> None:
    """A name declared in two files is told in the second, and names the place of the first."""
    (tmp_path / "1.yaml").write_text(
        "# first\ndefaults: {}\ngroups: {g: {}}\ntemplates: {t: {}}\ntenants: {a: {group: g}}\n"
    )
    (tmp_path / "2.yaml").write_text(again)

    (found,) = problems(tmp_path)

    assert (str(tmp_path / "2.yaml"), line, column, message) == (
        found.file, found.line, found.column, found.message,
    )  # fmt: skip
    assert found.help.startswith(f"first declared in {tmp_path / '1.yaml'}:")


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    """A missing path, an empty directory and a pipe are told by name, and nothing blocks."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "empty").mkdir()
    paths = [tmp_path / "gone.yaml", tmp_path / "empty", tmp_path / "pipe.yaml"]

    found = [problems(path)[0] for path in paths]

    assert [
        "the file can't be read: No such file or directory",
        "the directory holds no YAML files",
        "this is no regular file",
    ] == [problem.message for problem in found]
    assert [str(path) for path in paths] == [problem.file for problem in found]


def test_names_that_are_not_utf8_can_be_shown(tmp_path: Path) -> None:
    """Files whose names no terminal can print are read all the same, each of them."""
    for name in (b"\xff.yaml", b"\xfe.yaml"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("[")

    found = problems(tmp_path)

    assert ["?.yaml", "?.yaml"] == [Path(problem.file).name for problem in found]


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    """A file over the stated size is refused by its size."""
    file = tmp_path / "large.yaml"
    with file.open("wb") as stream:
        stream.truncate(document.MAX_BYTES + 1)

    (found,) = problems(file)

    assert "the file is larger than 8 MiB; split it into several files" == found.message


def test_templates_cannot_multiply_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many tenants that share a large template come to an end at a stated number of jobs."""
    module = import_module("rota.scheduler.config.load")  # the package calls its function so
    monkeypatch.setattr(module, "MAX_JOBS", 10)
    write_tenants(tmp_path, [1, 2, 3])

    (found,) = problems(tmp_path)

    assert ("tenant-3.yaml", 2, 3) == (Path(found.file).name, found.line, found.column)


def test_problems_come_to_an_end(tmp_path: Path) -> None:
    """A configuration with no end of problems is told with the first ten thousand or so."""
    file = tmp_path / "rota.yaml"
    bad = "".join(f"  t{number}: {{group: g, x: 1}}\n" for number in range(11_000))
    file.write_text("groups: {g: {}}\ntenants:\n" + bad)

    assert diagnostic.MAX_PROBLEMS + 1 == len(problems(file))


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    """A few hundred bytes that stand for billions of values are refused without expanding them."""
    file = tmp_path / "rota.yaml"
    lines = [f"b{i}: &b{i} [{','.join([f'*b{i - 1}'] * 9)}]" for i in range(1, 30)]
    file.write_text("b0: &b0 [x]\n" + "\n".join(lines) + "\n")

    assert 30 + 29 * 9 == len(problems(file))
