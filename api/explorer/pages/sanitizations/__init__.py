"""`/reports/sanitizations`: the statement of sanitization and disposal, by NIST SP 800-88."""

from api.explorer.reports import SANITIZATIONS

SANITIZATIONS_PAGE = SANITIZATIONS.page("sanitizations")
