"""What a handler raises to say more than "it failed"."""


class Fatal(Exception):
    """Raised by a handler: trying again would not help; the run becomes a dead letter at once."""


class Cancelled(Exception):
    """Raised by `Context.check_cancelled`: the run is to end, its result is not wanted any more."""
