"""Measure Rota and its peers: `python -m tests.benchmarks COMMAND`; --help after one tells more."""

import sys
from importlib import import_module

# Each is a module of this package with a `main()` that reads sys.argv.
COMMANDS = {
    "peers": "no-op jobs: Rota, its peers and a bare loop side by side",
    "recurring": "fires a second and lateness, by number of definitions",
    "latency": "from due to handler started, idle, beside a round trip",
    "calls": "one call and ten thousand, idle, beside a round trip",
    "memory": "bytes of scheduler and store for each idle definition",
    "store": "what the store spends on a run, by how many go in one script",
    "growth": "cost of a claim by tenants and by queued runs",
    "startup": "from the start of a scheduler until it leads, by definitions",
    "fairness": "shares, waits and the cost of a claim, on real processes",
    "flatness": "memory, lateness and cost of a long run, minute by minute",
    "scale": "two workers beside one; round trips for each job",
    "tasks": "100,000 tasks beside plain no-op jobs; what planning takes, by specs",
    "shards": "skewed shards, planned in four ways: tasks, planning, processing, balance",
}


def main() -> None:
    """Run the command that the command line names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        print(__doc__, *(f"  {each:<10} {what}" for each, what in COMMANDS.items()), sep="\n")
        sys.exit(name not in ("", "-h", "--help"))
    sys.argv[:2] = [f"python -m tests.benchmarks {name}"]
    import_module(f"tests.benchmarks.{name}").main()


main()
