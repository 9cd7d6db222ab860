"""`/`: the search, how far the index is, what the register holds, and what happens."""

from api.explorer.page import Page

HOME = Page(path="/", name="home")
