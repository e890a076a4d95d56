"""A strict reader of Prometheus' text format, written from its description, not from our writer."""

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? ([^ ]+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)",?')
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}

Labels = tuple[tuple[str, str], ...]


@dataclass
class Metric:
    """One family."""

    kind: str
    about: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)  # by suffix and labels

    def value(self, suffix: str = "", **labels: str) -> float:
        """Return one sample."""
        return self.samples[suffix, tuple(labels.items())]


def read(page: str) -> dict[str, Metric]:
    """Return all families by name; fails at whatever the format or its conventions forbid."""
    assert page.endswith("\n")
    found: dict[str, Metric] = {}
    name, about = "", ""
    for line in page.splitlines():
        if line.startswith("# HELP "):
            name, _, about = line.removeprefix("# HELP ").partition(" ")
            assert re.fullmatch(_NAME, name), line
            assert about, line
            assert name not in found, line
        elif line.startswith("# TYPE "):
            named, kind = line.removeprefix("# TYPE ").split(" ")
            assert (name, True) == (named, kind in _SUFFIXES), line
            assert (kind == "counter") == name.endswith("_total"), line
            found[name] = Metric(kind, about)
        else:
            _add(found[name], name, line)
    for name, metric in found.items():
        assert metric.samples, name
        if metric.kind == "histogram":
            _check(metric)
    return found


def _add(metric: Metric, name: str, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match, line
    suffix = match[1].removeprefix(name)
    assert match[1].startswith(name), line
    assert suffix in _SUFFIXES[metric.kind], line
    text = match[2] or ""
    labels = tuple((m[1], m[2]) for m in _LABEL.finditer(text))
    assert sum(len(m[0]) for m in _LABEL.finditer(text)) == len(text), line
    assert not {"job", "instance"} & {label for label, _ in labels}, line
    assert (suffix, labels) not in metric.samples, line
    metric.samples[suffix, labels] = float(match[3])


def _check(metric: Metric) -> None:
    """Assert that the buckets rise, and that the last one holds all."""
    buckets = [
        (float(dict(labels)["le"]), value)
        for (suffix, labels), value in metric.samples.items()
        if suffix == "_bucket"
    ]
    assert sorted(buckets) == buckets
    assert sorted(value for _, value in buckets) == [value for _, value in buckets]
    assert (float("inf"), metric.value("_count")) == buckets[-1]
