"""Every error that Rota raises on purpose; the class decides the exit code of a command.

RotaError                 1   something unexpected
├── UsageError            2   the command line or an environment variable is wrong
├── ConfigError           3   the configuration is invalid
├── StoreError            1   the store answered with an error
│   └── StoreUnavailable  4   the store can't be reached
├── NotFound              5   no such tenant, job or run
├── Refused               6   the request is understood and not carried out
└── TimedOut              7   what was waited for goes on
"""


class RotaError(Exception):
    """Something unexpected happened."""

    exit_code = 1


class UsageError(RotaError):
    """The command line or the environment is wrong."""

    exit_code = 2


class ConfigError(RotaError):
    """The configuration is invalid."""

    exit_code = 3


class StoreError(RotaError):
    """The store answered with an error."""


class StoreUnavailable(StoreError):
    """The store can't be reached."""

    exit_code = 4


class NotFound(RotaError):
    """No such tenant, job or run."""

    exit_code = 5


class Refused(RotaError):
    """The request is understood and not carried out."""

    exit_code = 6


class TimedOut(RotaError):
    """What was waited for is not over, and goes on."""

    exit_code = 7
