"""The reckoning and the pages of the benchmarks."""

from xml.etree import ElementTree

from tests.benchmarks import page
from tests.benchmarks.contenders import APPS, CONTENDERS
from tests.benchmarks.fires import Window
from tests.benchmarks.shards import Size


def test_every_contender_has_a_script() -> None:
    """A contender is run by a script that is there, and has a name of its own."""
    assert [] == [each.name for each in CONTENDERS if not (APPS / each.script).is_file()]
    assert len(CONTENDERS) == len({each.name for each in CONTENDERS})


def test_lateness_is_what_so_many_runs_did_not_exceed() -> None:
    """A percentile of lateness is the least that so many of the runs kept to."""
    late = [90, 0, 9, 0, 0, 1]
    window = Window(1.0, sum(late), 0, 0, late, {"sched": 0.001})

    assert [0, 2, 5] == [window.quantile(percent) for percent in (50, 99, 100)]
    assert 10 == round(window.us("sched"))


def test_shards_are_skewed() -> None:
    """All items are in a shard, and the second shard has half as many as the first."""
    sizes = Size(110_000, 500, 400, 1.0, 2.5, 4, 4).sizes

    assert (500, 110_000) == (len(sizes), sum(sizes))
    assert 2 == round(sizes[0] / sizes[1], 1)
    assert sizes == sorted(sizes, reverse=True)


def test_a_page_shows_the_middle_and_the_spread() -> None:
    """Several rounds show their median, the least and the greatest; one shows itself."""
    assert "1,200 (900 - 4,000)" == page.spread([4_000, 900, 1_200])
    assert "0.5" == page.spread([0.5], 1)
    assert "| a | b |\n| --- | --- |\n| 1 | 2 |" == page.table(("a", "b"), [("1", "2")])


def test_bars_are_as_long_as_their_values() -> None:
    """The picture is well-formed, and a bar of half the value is half as long."""
    drawn = page.bars("A & B", [("rota", 200.0), ("other", 100.0)])
    picture = ElementTree.fromstring(drawn)  # noqa: S314 - we drew it
    bars = [each for each in picture if each.tag.endswith("rect")][1:]
    long = [float(each.attrib["width"]) for each in bars]

    assert [2.0, 1.0] == [width / long[1] for width in long]
