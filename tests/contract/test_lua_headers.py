"""The header of each script says exactly what the script takes and gives."""

import re
from importlib import resources

import pytest

from rota.common import keys, scripts
from rota.common.state import Operation

LONGEST = 60
LONGER = {  # may only shrink
    "adopt": 63,  # what a slot, a run and its tasks are to be again
    "claim": 147,  # the fair choice within all limits, and the same answer again, in one piece
    "enqueue": 71,  # every reason to refuse a run, in their order
    "limits": 73,  # a setter for each kind
    "recount": 62,  # counts of runs by all that they are counted by
    "reconcile": 145,  # a check for each kind of key
}
NUMBERS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
]
OTHERS = [  # they move no run
    *(scripts.LEAD, scripts.LIMITS, scripts.RECONCILE, scripts.RECORD, scripts.RECOUNT),
    scripts.REGISTER,
    scripts.TURN,  # it does, by two operations
    scripts.SWITCH,
    scripts.PAUSE,
    scripts.BACKFILL,
    scripts.ATTEND,
    scripts.FORGO,
]
FAN = [keys.fan, keys.todo, keys.again, keys.live, keys.over, keys.died, keys.bad]
ALONE = (scripts.SWITCH, scripts.PAUSE, scripts.BACKFILL)  # without the library
BY_NAME = pytest.mark.parametrize("name", [*Operation, *OTHERS])

_WORD = re.compile(
    r"\bword(?:, detail)? = '(\w+)'|\band '(\w+)' or '(\w+)'|\b(?:answer|repaired)\('(\w+)'",
    re.MULTILINE,
)


def header(name: str) -> str:
    """Return the comment that the script begins with."""
    match = re.match(r"(?:--.*\n)+", scripts.source(name))
    assert match
    return match[0]


def code(name: str) -> str:
    """Return the script without its comments."""
    return re.sub(r"--.*", "", scripts.source(name))


def whole(name: str) -> str:
    """Return the script with what is put in front of it, without comments."""
    library = () if name in ALONE else scripts.LIBRARY
    return "".join(code(each) for each in (*library, name))


def words(matches: list[tuple[str, ...]]) -> set[str]:
    """Return the groups that matched."""
    return {word for match in matches for word in match if word}


def test_one_script_for_each_operation() -> None:
    """Each operation is one script of its name, and there is no other script."""
    files = {path.name for path in (resources.files("rota.common") / "lua").iterdir()}

    assert {f"{name}.lua" for name in [*scripts.LIBRARY, *Operation, *OTHERS]} == files


@BY_NAME
def test_purpose(name: str) -> None:
    """The first line gives the script's name and purpose; KEYS, ARGV and Returns follow."""
    text = header(name)

    assert re.match(rf"-- {name}: \w.+", text)
    sections = re.findall(r"^-- (KEYS|ARGV|Returns)", text, re.MULTILINE)

    assert ["KEYS", "ARGV", "Returns"] == list(dict.fromkeys(sections))


@BY_NAME
def test_keys(name: str) -> None:
    """A script is given one key, the group's root, and it alone."""
    assert {"1"} == set(re.findall(r"KEYS\[(\w+)\]", header(name)))
    assert {"1"} == set(re.findall(r"KEYS\[(\w+)\]", whole(name)))


@BY_NAME
def test_single_arguments(name: str) -> None:
    """Each single argument that is documented is used, and the other way round."""
    documented = set(re.findall(r"^-- ARGV\[(\d)\]", header(name), re.MULTILINE))

    assert documented == set(re.findall(r"ARGV\[(\d)\]", whole(name)))


@BY_NAME
def test_repeated_arguments(name: str) -> None:
    """The values for each run are as many as documented, start where they should, are all used."""
    documented = re.search(
        r"^-- ARGV     (?:from (\d) on, )?(\w+) values? for each \w+:"
        r"\s+(?:--\s+)?((?:.+,\n--\s+)*.+)",
        header(name),
        re.MULTILINE,
    )
    loop = re.search(r"for i = (\d), #ARGV, (\d+) do", code(name))
    if documented is None:
        assert loop is None
        return
    assert loop
    count = int(loop[2])
    used = {int(offset or 0) for offset in re.findall(r"ARGV\[i(?: \+ (\d+))?\]", code(name))}
    named = re.sub(r"\([^)]*\)", "", documented[3])

    assert (documented[1] or "1", documented[2]) == (loop[1], NUMBERS[count])
    assert set(range(count)) == used
    assert count == len(named.split(","))


@BY_NAME
def test_words(name: str) -> None:
    """Each word that the script answers is documented, and the other way round."""
    returns = header(name).partition("-- Returns")[2]
    documented = set(re.findall(r"^--          (\w+)  ", returns, re.MULTILINE))

    assert documented == words(_WORD.findall(code(name)))


@BY_NAME
def test_length(name: str) -> None:
    """A script is short enough to be read at once; the exceptions can only shrink."""
    lines = len(scripts.source(name).splitlines())

    assert lines <= LONGER.get(name, LONGEST)
    assert name not in LONGER or lines > LONGEST


@BY_NAME
def test_suffixes(name: str) -> None:
    """A script touches only keys that `keys.py` makes, and derives them all from the root key."""
    made = {
        keys.slot("g", ""),
        keys.ledger("g", ""),
        keys.run("g", ""),
        keys.backfills("g"),
        keys.queue("g", ""),
        keys.tenant("g", ""),
        keys.active("g"),
        keys.active("g", " ").rstrip(),  # the ring of a handler
        keys.limited("g"),
        keys.caps("g"),
        keys.running("g"),
        keys.held("g"),
        keys.hold("g", ""),
        keys.leases("g"),
        keys.retries("g"),
        keys.dead("g"),
        keys.repairs("g"),
        keys.wake("g"),
        keys.wake_worker("g", ""),
        keys.control("g", ""),
        keys.schedulers("g"),
        keys.workers("g"),
        keys.worker("g", ""),
        keys.done("g"),
        *(make("g", "") for make in FAN),
        keys.fanned("g"),
        keys.handlers("g", ""),
        keys.claim("g", ""),
        keys.inbox("g", ""),
        f"{keys.root('g')}:absent",  # never made: it tells whether the slot is moving
    }
    text = whole(name)
    used = set(re.findall(r"\bP \.\. '([^']*)'", text))
    for names in re.findall(r"PARTS = \{(.*)\}", text):  # all keys of a fan-out
        used |= set(re.findall(r"'([^']*)'", names))

    assert used <= {key.removeprefix(keys.root("g")) for key in made}
    assert not re.findall(r"rota:", text)
