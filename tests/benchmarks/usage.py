"""What processes used, as the kernel counts it. Linux only."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Return seconds of processor that a process and its descendants have used so far."""
    return sum(_own_cpu(each) for each in [pid, *_descendants(pid)])


def resident(pid: int) -> int:
    """Return bytes of a process's own memory, without what it shares with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"the kernel does not tell the memory of {pid}")


def peak(pid: int) -> int:
    """Return the most bytes of memory that a process ever had, with what it shares."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"the kernel does not tell the memory of {pid}")


def _own_cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found
