"""The table of pages, in the order in which their paths are tried."""

from api.explorer.page import Page
from api.explorer.pages.device import DEVICE
from api.explorer.pages.home import HOME
from api.explorer.pages.nowhere import NOWHERE
from api.explorer.pages.search import SEARCH

PAGES: tuple[Page, ...] = (HOME, SEARCH, DEVICE)

SECTIONS: tuple[tuple[str, str], ...] = ()
"""The links of the header: title and path."""

__all__ = ["NOWHERE", "PAGES", "SECTIONS"]
