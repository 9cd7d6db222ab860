"""The subjects of bundles: a device, a vehicle or a synthetic device."""

from typing import NamedTuple

from schema.events import AboutDevice, Fact, SyntheticDeviceFact
from schema.tables.kinds import IDENTITY_OF_ID, LIFECYCLE, SPANS

NUMBERS = {identity: field for field, identity in IDENTITY_OF_ID.items()}


class SubjectKind(NamedTuple):
    """A kind of subjects. `name` is its table of identities, and its part of the document in snake case.

    `tables`: the tables with its rows. `number`: the field of facts with the token id. `path`: where its bundles are.
    """

    name: str
    tables: tuple[str, ...]
    number: str
    path: str

    @property
    def noun(self) -> str:
        return self.name.replace("_", " ")

    @property
    def owner(self) -> str:
        """The column of its id in `tables` and in `event`."""
        return f"{self.name}_id"

    def is_named(self, fact: Fact, token_id: int) -> bool:
        """Returns whether a fact is about the token. Vehicle 0 in an event of a device is no vehicle."""
        if getattr(fact, self.number, None) != token_id:
            return False
        return token_id != 0 or self.name != "vehicle" or not isinstance(fact, AboutDevice | SyntheticDeviceFact)


def _kind(name: str, path: str) -> SubjectKind:
    spans = tuple(table.name for table in SPANS.values() if name in table.owners and not table.repeats)
    return SubjectKind(name, spans + (tuple(LIFECYCLE) if name == "device" else ()), NUMBERS[name], path)


DEVICE = _kind("device", "devices")
SUBJECTS = {
    kind.name: kind for kind in (DEVICE, _kind("vehicle", "vehicles"), _kind("synthetic_device", "synthetic-devices"))
}
