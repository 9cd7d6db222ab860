"""The two families of errors: temporary errors, and errors that need an operator."""


class TryAgain(Exception):
    """Something outside failed; the same step may succeed later. Nothing was stored."""


class Stop(Exception):
    """The indexer must stop. The message states what an operator must do."""


def failure_text(error: Exception) -> str:
    """Returns the message of an error. For an error of SQLAlchemy, it is that of the database's driver, on one line."""
    driver_error = getattr(error, "orig", None)
    return str(error) if driver_error is None else f"the database failed: {' '.join(str(driver_error).split())}"
