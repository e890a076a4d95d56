"""All are looked at in their time, and none before."""

from rota.scheduler.agenda import Agenda


def taken(agenda: Agenda, now_ms: int) -> list[tuple[int, str]]:
    """Take out all who are to be looked at by now."""
    found = []
    while one := agenda.take(now_ms):
        found.append(one)
    return found


def test_in_time() -> None:
    """Who is to be looked at first is told first, and who is later stays."""
    agenda = Agenda()
    for at_ms, name in ((30, "c"), (10, "a"), (20, "b"), (40, "d")):
        agenda.add(at_ms, name)

    assert 10 == agenda.first_ms
    assert [(10, "a"), (20, "b"), (30, "c")] == taken(agenda, 39)
    assert 40 == agenda.first_ms


def test_together() -> None:
    """Those of one moment are told in the order in which they came, also one that comes again."""
    agenda = Agenda()
    for name in ("a", "b", "c"):
        agenda.add(10, name)
    first = agenda.take(10)
    agenda.add(10, "a")

    assert (10, "a") == first
    assert [(10, "b"), (10, "c"), (10, "a")] == taken(agenda, 10)
    assert agenda.first_ms is None
