"""docs/testing.md: the project and the tests that it shows are real."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "testing.md"

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not PAGE.exists(), reason="the page lies beside the source"),
]


def test_the_page_is_right(tmp_path: Path) -> None:
    """A project of the files on the page passes the tests on the page."""
    for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    words = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider")
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert "6 passed" in done.stdout, done.stdout + done.stderr
