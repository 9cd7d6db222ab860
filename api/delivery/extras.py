"""Libraries that only some installations need."""

from importlib import import_module
from typing import Any

from schema.program.settings import SettingsError


def extra(module: str, name: str, needed_for: str) -> Any:
    """Returns a module of an optional library. Raises SettingsError, which names the extra to install."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsError(
            f"{needed_for} needs the extra certindex[{name}] ({error}): pip install 'certindex[{name}]'"
        ) from None
