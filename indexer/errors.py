"""The two families of errors: what passes if one waits, and what needs a person."""


class TryAgain(Exception):
    """Something outside is not as it should be; the same step may succeed later. Nothing was stored."""


class Stop(Exception):
    """Going on would be wrong; the message says what to do."""
