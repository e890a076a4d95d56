"""Numbers are shown as Prometheus reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.common import metrics
from rota.common.metrics import Counter, Histogram
from tests.support import prometheus


def read(*families: metrics.Family) -> dict[str, prometheus.Metric]:
    """Return what a reader makes of these."""
    return prometheus.read(metrics.page(families) + "\n")


def test_gauge() -> None:
    """A gauge is one number, whole or not, and of a condition 0 or 1."""
    found = read(
        metrics.gauge("rota_a", "A.", 3), metrics.gauge("rota_b", "B.", 0.25),
        metrics.gauge("rota_c", "C.", value=True), metrics.count("rota_d_total", "D.", 7),
    )  # fmt: skip

    assert [3, 0.25, 1, 7] == [metric.value() for metric in found.values()]
    assert ["gauge", "gauge", "gauge", "counter"] == [metric.kind for metric in found.values()]
    assert "A." == found["rota_a"].about


def test_counter() -> None:
    """A counter shows what is known from the start as 0, and whatever else it has counted."""
    counter = Counter("rota_runs_total", "Runs.", "outcome", ("dead", "succeeded"))
    counter.add("succeeded")
    counter.add("lost", 4)
    metric = read(counter.family())["rota_runs_total"]

    assert [0, 1, 4] == [metric.value(outcome=outcome) for outcome in ("dead", "succeeded", "lost")]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "ä"])
def test_labels_are_escaped(text: str) -> None:
    """Whatever a label's value is, it is read as one sample."""
    counter = Counter("rota_x_total", "X.", "what")
    counter.add(text)
    (sample,) = read(counter.family())["rota_x_total"].samples

    assert text == sample[1][0][1].replace(r"\"", '"').replace(r"\n", "\n").replace(r"\\", "\\")


@given(st.lists(st.floats(0, 1e6)))
def test_histogram(values: list[float]) -> None:
    """A bucket holds all values up to its bound; sum and count are those of the values."""
    histogram = Histogram("rota_x_seconds", "X.", (1, 0.5, 60))
    for value in values:
        histogram.observe(value)
    metric = read(histogram.family())["rota_x_seconds"]

    for name, bound in (("0.5", 0.5), ("1", 1.0), ("60", 60.0), ("+Inf", float("inf"))):
        assert sum(value <= bound for value in values) == metric.value("_bucket", le=name)
    assert len(values) == metric.value("_count")
    assert sum(values) == pytest.approx(metric.value("_sum"))
