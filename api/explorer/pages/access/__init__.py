"""`/reports/access`: the register of who could access what, and when."""

from api.explorer.reports import ACCESS

ACCESS_PAGE = ACCESS.page("access")
