"""The table of pages, in the order in which their paths are tried."""

from api.explorer.page import Page
from api.explorer.pages.access import ACCESS_PAGE
from api.explorer.pages.audit import AUDIT
from api.explorer.pages.block import BLOCK
from api.explorer.pages.certificate import CERTIFICATE
from api.explorer.pages.compare import COMPARE
from api.explorer.pages.device import DEVICE
from api.explorer.pages.devices import DEVICES
from api.explorer.pages.events import EVENTS
from api.explorer.pages.fleet import OWNER, USER
from api.explorer.pages.home import HOME
from api.explorer.pages.licenses import LICENSES_PAGE
from api.explorer.pages.manufacturer import MANUFACTURER
from api.explorer.pages.manufacturers import MANUFACTURERS
from api.explorer.pages.model import MODEL
from api.explorer.pages.not_found import NOT_FOUND
from api.explorer.pages.reports import REPORTS_PAGE
from api.explorer.pages.sanitizations import SANITIZATIONS_PAGE
from api.explorer.pages.search import SEARCH
from api.explorer.pages.software_updates import SOFTWARE_UPDATES_PAGE
from api.explorer.pages.status import STATUS
from api.explorer.pages.synthetic_device import SYNTHETIC_DEVICE
from api.explorer.pages.transaction import TRANSACTION
from api.explorer.pages.vehicle import VEHICLE
from api.explorer.pages.vehicles import VEHICLES
from api.explorer.pages.verify import VERIFY

PAGES: tuple[Page, ...] = (
    HOME,
    SEARCH,
    DEVICES,
    DEVICE,
    CERTIFICATE,
    COMPARE,
    VEHICLES,
    VEHICLE,
    SYNTHETIC_DEVICE,
    OWNER,
    USER,
    MANUFACTURERS,
    MANUFACTURER,
    MODEL,
    EVENTS,
    TRANSACTION,
    BLOCK,
    STATUS,
    AUDIT,
    REPORTS_PAGE,
    SOFTWARE_UPDATES_PAGE,
    SANITIZATIONS_PAGE,
    ACCESS_PAGE,
    LICENSES_PAGE,
    VERIFY,
)

SECTIONS: tuple[tuple[str, str], ...] = (
    ("Devices", "/devices"),
    ("Vehicles", VEHICLES.path),
    ("Events", "/events"),
    ("Manufacturers", "/manufacturers"),
    ("Audit", "/audit"),
    ("Reports", "/reports"),
    ("Status", "/status"),
    ("Verify", "/verify"),
)
"""The links of the header: title and path. That to the vehicles is left out where there are none."""

__all__ = ["NOT_FOUND", "PAGES", "SECTIONS"]
