"""Where the peers live: an environment for each, so that none holds back the versions of another.

They are made when they are first needed, in `.bench` of the checkout, which is ignored, or where
ROTA_BENCH_HOME says. A joint one would give some of them an old redis-py.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.benchmarks.contenders import Contender

HOME = Path(os.environ.get("ROTA_BENCH_HOME") or Path(__file__).parents[2] / ".bench")


def why_not(contender: Contender) -> str:
    """Return why a contender can't take part, empty if it can; makes its environment if need be."""
    try:
        if contender.is_node:
            return _npm(contender)
        return _venv(contender) if contender.packages else ""
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)


def version(contender: Contender) -> str:
    """Return the version of a contender, with that of its interpreter."""
    if contender.is_node:
        package = HOME / "node" / "node_modules" / contender.shown / "package.json"
        node = _said("node", "--version")
        return f"{json.loads(package.read_text())['version']} (Node {node})"
    if not contender.packages:
        return metadata.version("rota") if "rota" in contender.name else ""
    asked = f"from importlib.metadata import version; print(version({contender.shown!r}))"
    return _said(str(_python(contender)), "-c", asked)


def _venv(contender: Contender) -> str:
    python = _python(contender)
    if not python.exists():
        print(f"installing {contender.name} ...", file=sys.stderr, flush=True)
        folder = python.parent.parent
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        got = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *contender.packages], check=False
        )
        if got.returncode:
            shutil.rmtree(folder)
            return f"pip could not install {', '.join(contender.packages)}"
    return ""


def _npm(contender: Contender) -> str:
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        return "there is no node, or no npm, on PATH"
    folder = HOME / "node"
    if not all((folder / "node_modules" / name).exists() for name in contender.packages):
        print(f"installing {contender.name} ...", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--prefix", str(folder), *contender.packages]
        if subprocess.run(command, check=False).returncode:
            return f"npm could not install {', '.join(contender.packages)}"
    return ""


def _python(contender: Contender) -> Path:
    return HOME / "python" / contender.name / "bin" / "python"


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
