"""Options that the commands share."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"


RefArgument = Annotated[str, typer.Argument(metavar="TENANT/JOB", help="Such as acme/vacuum.")]
JobIdArgument = Annotated[
    str, typer.Argument(metavar="JOB_ID", help="Such as acme/vacuum:20261123T020000Z.")
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]


def check_ref(ref: str) -> None:
    """Raise `UsageError` if `ref` is not TENANT/JOB."""
    from rota.common import names
    from rota.common.errors import UsageError

    try:
        names.split_ref(ref)
    except ValueError as error:
        raise UsageError(str(error)) from None


def check_job_id(job_id: str) -> None:
    """Raise `UsageError` if `job_id` is none."""
    from rota.common import names
    from rota.common.errors import UsageError

    try:
        names.split_job_id(job_id)
    except ValueError as error:
        raise UsageError(str(error)) from None
