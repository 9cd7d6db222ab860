"""`/reports`: the reports that an auditor files."""

from api.explorer.page import Json, Page
from api.explorer.reports import REPORTS
from api.explorer.visit import Visit


def view(data: Json, visit: Visit) -> Json:
    return {"reports": REPORTS}


REPORTS_PAGE = Page(path="/reports", name="reports", view=view)
