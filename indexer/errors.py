"""The two families of errors: those that pass, and those that need a person."""


class TryAgain(Exception):
    """Something outside failed; the same step may succeed later. Nothing was stored."""


class Stop(Exception):
    """Going on would be wrong; the message says what to do."""


def failure_text(error: Exception) -> str:
    """Returns the message of an error. For an error of SQLAlchemy, it is that of the database's driver."""
    driver_error = getattr(error, "orig", None)
    return str(error) if driver_error is None else f"the database failed: {driver_error}"
