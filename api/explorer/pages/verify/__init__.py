"""`/verify`: checks a bundle in the browser. Nothing that is checked reaches the server."""

from api.explorer.page import Json, Page
from api.explorer.visit import Visit
from schema.bundle.trust import TRUST


def view(data: Json, visit: Visit) -> Json:
    return {"trust": TRUST.strip().split("\n\n")[1:], "version": data["_meta"]["version"]}


VERIFY = Page(path="/verify", name="verify", view=view)
