"""What comes alone is handled at once; what comes in crowds is handled together."""

from rota.scheduler import pace


def test_alone() -> None:
    """Nothing waits where nothing was, and next to nothing behind one."""
    assert (0, 1) == (pace.rest_ms(0), pace.rest_ms(1))


def test_crowds() -> None:
    """The rest grows with the crowd, and has an end."""
    assert pace.rest_ms(2) < pace.rest_ms(10) < pace.rest_ms(1_000) == pace.rest_ms(100_000) <= 20
