"""Start the example: `python3 examples/billing`; --help tells its options.

Needs nothing but Python and git: the first start makes `.venv`. This file must parse on any
Python 3 (see .ci/bootstrap.py).
"""

import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BOOTSTRAP = ROOT / ".ci" / "bootstrap.py"


def main() -> None:
    """Become the driver, run by the Python of the checkout's environment."""
    python = str(runpy.run_path(str(BOOTSTRAP))["ensure"]())
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    # The example leaves nothing in the checkout.
    environment = dict(os.environ, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1")
    command = [python, "-m", "examples.billing.driver", *sys.argv[1:]]
    os.execve(python, command, environment)  # noqa: S606 - no shell is involved


if __name__ == "__main__":
    main()
