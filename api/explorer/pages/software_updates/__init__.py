"""`/reports/software-updates`: the register of software updates, as UNECE R156 requires it."""

from api.explorer.reports import SOFTWARE_UPDATES

SOFTWARE_UPDATES_PAGE = SOFTWARE_UPDATES.page("software_updates")
