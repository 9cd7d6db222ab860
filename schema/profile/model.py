"""A profile: a TOML file that maps the events of contracts to facts. This page describes every key.

```toml
name   = "device-certificate"           # required, shown in `certindex status`
unread = ["vault"]                      # roles of contracts whose logs are stored although no rule reads them

[[event]]                               # a rule; at least one
contract    = "certificate"             # required: the role of the contract that emits the event
signature   = "Upgraded(uint256 indexed id, string version, uint8 status, address asset)"    # required
fact        = "FirmwareUpdated"         # required: a class of schema/events.py
first_block = 100                       # the rule applies from this block ...
last_block  = 200                       # ... up to and including this one
where       = { asset = "@tag" }        # the rule applies only to logs whose argument has this value
each        = ["ids", "units"]          # arrays of the event: each of their items is a fact
token       = "tag"                     # the role whose token `token_id` is; without it, the emitter's

[event.fields]                          # required: the fields of the fact
token_id   = "id"                                                           # the value of an argument
to_version = { const = "1.0.0" }                                            # a constant
result     = { arg = "status", map = { "1" = "SUCCEEDED" }, default = 1 }   # a translated argument
image_hash = "image.hash"               # a component of a tuple: "(string uri, bytes32 hash) image" in the signature
from_version = { arg = "old", as = "text" }     # a text made of bytes, an address or a number
# token_id = { address = "device" }             # the id of the device that has this address

[event.join]                            # another event of the same transaction, whose values the fields may name
contract  = "registry"                  # required: the role of the contract that emits it
signature = "Named(uint256 indexed key, string name)"       # required
on        = { key = "id" }              # its arguments that equal arguments of the rule's event

[[call]]                                # a function of a contract that returns what its events leave out
contract     = "registry"                                                   # required: the role of the contract
function     = "getParentNode(address proxy, uint256 id) returns (uint256)" # required
tells        = "manufacturer"           # required: owner, address, claimed, manufacturer or manufacturer_name
arguments    = ["@tag", "id"]           # "id" of the device or manufacturer, "@role" for an address; default ["id"]
manufacturer = "manufacturer"           # the role whose ids a returned manufacturer is; default: the called contract's

[[factory]]                             # an event that names another contract, which is watched from that block on
contract  = "registry"                  # required: the role of the contract that emits it
signature = "Opened(uint256 indexed number, address plant)" # required
creates   = "certificate"               # required: the role that the named contract gets
address   = "plant"                     # required: the argument with its address
where     = { number = 1 }              # only logs whose argument has this value
whole     = false                       # whether the event comes with the creation: nothing of it lies before then

[grants.contract]                       # the policy of a grant source; required for each source that a rule uses
zero_expiry             = "never"       # required: an expiry of 0 is "never", "revokes" the grant, or has "expired"
expiry_inclusive        = false         # whether the grant is active in the second of its expiry
zero_permissions_revoke = false         # whether a grant without permissions revokes the one before
voided_by_transfer      = false         # whether a transfer or burn ends the grant; or of what: ["device", "vehicle"]
permission_bits         = 1             # adjacent bits per permission; it is granted if all of them are set

[networks.137]                          # public contracts of a chain id; CONTRACTS is not needed there
tag = { address = "0x...", start_block = 34_500_000 }                       # or a list of such tables
```

- **Roles.** A role stands for the addresses of a contract. They come from CONTRACTS, or from `[networks]`.
- **Where.** The value may be the address of a role, `"@role"`, or that of no watched contract, `"!@"`. Two rules must
  never match the same log: they differ in contract, event, number of topics, blocks, or `where`.
- **Ids.** `token`, `manufacturer`, `hardware_license`, `vehicle`, `license` and `synthetic_device` name the role whose
  ids `token_id`, `manufacturer_id`, `hardware_license_id`, `vehicle_id`, `license_id` and `synthetic_device_id` hold.
- **Fields.** A field that is left out is unknown. The keys of a map are values of the argument as text. If the map does
  not list a value, it becomes `default`; without a default it stays as it is, if the field can take it. A code may be
  written as its name. If a number is negative and no map translates it, the log is undecodable.
- **Texts.** `as = "text"` reads bytes as UTF-8, without the zeros at their end; `"hex"` writes bytes, a hash or an
  address as 0x and hex digits, an address with its checksum; `"decimal"` writes a number in digits.
- **Ids of another type.** An id may be any integer, an address or a bytesN; the last two are read as a number.
- **Devices by address.** If an event names its device by the address alone, `token_id = { address = "device" }` stands
  for the id of the device that has the address then: the one that got it last, by a DeviceMinted, DeviceAddressReset or
  FactoryReset with `address`. Of two that got it in one block, it is the younger one. If no device has the address, the
  event is stored with the flag UNKNOWN_DEVICE and without a device.
- **Tuples.** `where` may name a component too: `where = { "image.final" = true }`. Components of the tuples in an array
  can be named only if it is in `each`.
- **Each.** A field that names such an array has the item in its place, and `"units.serial"` is a component of the item.
  Arrays are equally long, else the log is undecodable, as is one of more than 10,000 items. A log without items is no
  fact. Each item is an event of its own, in the order of the items. `where` is about the whole log.
- **Grant source.** It is a constant of the rule, `contract` by default.
- **Join.** `"join.name"` is the argument `name` of the joined event. The n-th log of the rule in a transaction belongs
  to the n-th log of the joined event, among those that are equal in `on`; if their numbers differ, the rule's logs are
  undecodable. The joined log keeps a meaning of its own: another rule may read it.
- **Factories.** All logs of a created contract are stored from the block of the event on, those before it in that block
  too. An address that is watched already keeps its role. `where`, `join`, the names of ids and calls cannot name a role
  that a factory fills, since they must not mean something else once a contract is created.
- **Calls.** `certindex reconcile` compares the values with the index. `manufacturer` and `manufacturer_name` also
  complete mints that leave them out.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from schema.events import AccessGranted, AccessRevoked, Address, UserAuthorized, UserRevoked
from schema.profile.calls import Call, compile_calls, parse_calls
from schema.profile.errors import Place, ProfileError, suggestion, toml
from schema.profile.factories import Factories, Factory, check_factories, parse_factories
from schema.profile.parsing import ROLE, parse_rule
from schema.profile.reader import Reader, check_addresses
from schema.profile.rules import Constant, Rule, check_rules
from schema.profile.values import address

SHIPPED = Path(__file__).parents[1] / "profiles"
TRANSFERABLE = ("device", "vehicle", "synthetic_device", "manufacturer")
"""The tokens on which there are grants."""
CHAIN_ID = re.compile("[1-9][0-9]{0,18}", re.ASCII)


class ZeroExpiry(StrEnum):
    """What an expiry of zero seconds means."""

    NEVER = "never"
    REVOKES = "revokes"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPolicy:
    """How the grants of one source end: a `[grants.<source>]` table.

    `voided_by_transfer` names the tokens whose transfer or burn ends a grant on them.
    """

    zero_expiry: ZeroExpiry
    expiry_inclusive: bool
    zero_permissions_revoke: bool
    voided_by_transfer: frozenset[str]
    permission_bits: int = 1


@dataclass(frozen=True, slots=True)
class KnownContract:
    """A public contract of `[networks]`."""

    address: Address
    start_block: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A checked profile. `text` is its TOML; `networks` has the public contracts by chain id and role."""

    name: str
    text: str
    origin: str
    rules: tuple[Rule, ...]
    unread: tuple[str, ...]
    grant_policies: Mapping[str, GrantPolicy]
    networks: Mapping[int, Mapping[str, tuple[KnownContract, ...]]]
    calls: tuple[Call, ...]
    factories: tuple[Factory, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of contracts in the order of the file, those with rules first."""
        return _roles(self.rules, self.unread, self.factories)

    def compile_factories(self, contracts: Mapping[str, Sequence[bytes]]) -> Factories:
        """Returns the factories for the given addresses of each role."""
        return Factories(self.factories, check_addresses(self.rules, self.roles, contracts, Place((self.origin,))))

    def compile(
        self, contracts: Mapping[str, Sequence[bytes]], first_blocks: Mapping[bytes, int] = MappingProxyType({})
    ) -> Reader:
        """Returns a reader for the given 20-byte addresses of each role.

        `first_blocks`: from which block on the logs of some addresses are read, if not from the first.

        A role without an address is not watched: rules that need its address do not apply, and an optional id of such
        a contract stays unknown. Raises ProfileError for an unknown role and for ambiguous addresses.
        """
        addresses = check_addresses(self.rules, self.roles, contracts, Place((self.origin,)))
        bits = {source: policy.permission_bits for source, policy in self.grant_policies.items()}
        return Reader(self.rules, addresses, bits, compile_calls(self.calls, addresses), first_blocks)


def load_profile(name_or_path: str) -> Profile:
    """Loads a shipped profile by its name, or any profile by the path of its TOML file. Raises ProfileError."""
    path = Path(name_or_path)
    if path.suffix != ".toml" and len(path.parts) <= 1:
        path = SHIPPED / f"{name_or_path.replace('-', '_')}.toml"
        if not path.is_file():
            raise ProfileError(
                f"there is no profile {name_or_path!r}. There are {', '.join(shipped_profiles())}; "
                "give a profile of your own by the path of its file, such as ./mine.toml"
            )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors write a byte order mark
    except OSError as error:
        raise ProfileError(f"{name_or_path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"{name_or_path}: byte {error.start} is not UTF-8, as TOML requires") from None
    return parse_profile(text, path.name if path.parent == SHIPPED else name_or_path)


def parse_profile(text: str, origin: str) -> Profile:
    """Parses and checks the TOML of a profile. Errors name it by `origin`. Raises ProfileError."""
    file = Place((origin,))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib does not catch ValueError of int() and RecursionError
        raise ProfileError(f"{origin}: {error}") from None
    table = file.table(document, ("name", "unread", "event", "call", "factory", "grants", "networks"))
    name = file.text(table, "name", "my-certificate")
    if not name.isprintable():
        file.refuse(f"'name' is {name!r}, which is not printable. Example: name = \"my-certificate\"")
    events = table.get("event", [])
    if not isinstance(events, list) or not events:
        file.refuse("has no rule. Each rule begins with a line [[event]]")
    rules = tuple(parse_rule(event, number, file) for number, event in enumerate(events, start=1))
    check_rules(rules, file)
    unread = _unread(table.get("unread", []), rules, file)
    factories = parse_factories(table.get("factory", []), _roles(rules, unread), file)
    roles = _roles(rules, unread, factories)
    calls = parse_calls(table.get("call", []), roles, file)
    check_factories(factories, rules, calls, file)
    return Profile(
        name=name,
        text=text,
        origin=origin,
        rules=rules,
        unread=unread,
        grant_policies=_grant_policies(table.get("grants", {}), rules, file),
        networks=_networks(table.get("networks", {}), roles, file),
        calls=calls,
        factories=factories,
    )


def shipped_profiles() -> list[str]:
    """Returns the names of the profiles that are part of the product."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def _roles(rules: Sequence[Rule], unread: Sequence[str], factories: Sequence[Factory] = ()) -> tuple[str, ...]:
    read = (role for rule in rules for role in rule.contracts)
    return tuple(dict.fromkeys((*read, *unread, *(factory.contract for factory in factories))))


def _unread(value: object, rules: Sequence[Rule], file: Place) -> tuple[str, ...]:
    place = file.inside("unread")
    if not isinstance(value, list):
        place.refuse(f'is {toml(value)}, expected a list of roles. Example: unread = ["vehicle"]')
    roles_with_rules = {role for rule in rules for role in rule.contracts}
    for role in value:
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            place.refuse(f"{toml(role)} is not a role name: use letters, digits, - and _")
        if role in roles_with_rules:
            place.refuse(f"the role {role!r} has rules, which read its logs")
    return tuple(value)


def _grant_policies(value: object, rules: Sequence[Rule], file: Place) -> Mapping[str, GrantPolicy]:
    policies = {
        source: _grant_policy(table, file.inside(f"grants.{source}"))
        for source, table in file.inside("grants").table(value).items()
    }
    used = set()
    for rule in rules:
        if rule.fact_type in (UserAuthorized, UserRevoked, AccessGranted, AccessRevoked):
            source = _source(rule)
            used.add(source)
            if source not in policies:
                file.inside(rule.title).refuse(
                    f"the grant source {source!r} has no policy; declare one. "
                    f'Example: [grants.{source}] zero_expiry = "never"'
                )
    for source in policies.keys() - used:
        file.inside(f"grants.{source}").refuse(f"no rule uses this source{suggestion(source, used)}")
    return policies


def _source(rule: Rule) -> str:
    binding = rule.fields.get("source")
    return str(binding.value) if isinstance(binding, Constant) else "contract"


def _grant_policy(value: object, place: Place) -> GrantPolicy:
    keys = ("zero_expiry", "expiry_inclusive", "zero_permissions_revoke", "voided_by_transfer", "permission_bits")
    table = place.table(value, keys)
    zero_expiry = place.text(table, "zero_expiry", "never")
    if zero_expiry not in list(ZeroExpiry):
        place.refuse(f"zero_expiry is {toml(zero_expiry)}{suggestion(zero_expiry, ZeroExpiry)}")
    return GrantPolicy(
        zero_expiry=ZeroExpiry(zero_expiry),
        expiry_inclusive=place.flag(table, "expiry_inclusive"),
        zero_permissions_revoke=place.flag(table, "zero_permissions_revoke"),
        voided_by_transfer=_voided_by_transfer(table.get("voided_by_transfer", False), place),
        permission_bits=_permission_bits(table.get("permission_bits", 1), place),
    )


def _voided_by_transfer(value: object, place: Place) -> frozenset[str]:
    if isinstance(value, bool):
        return frozenset(TRANSFERABLE if value else ())
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        place.refuse(
            f"voided_by_transfer is {toml(value)}, expected true, false or a list of {', '.join(TRANSFERABLE)}"
        )
    for name in value:
        if name not in TRANSFERABLE:
            place.refuse(f"voided_by_transfer: {toml(name)} is not transferred{suggestion(name, TRANSFERABLE)}")
    return frozenset(value)


def _permission_bits(value: object, place: Place) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 256:
        place.refuse(f"permission_bits is {toml(value)}, expected a number of bits from 1 to 256")
    return value


def _networks(
    value: object, roles: Sequence[str], file: Place
) -> Mapping[int, Mapping[str, tuple[KnownContract, ...]]]:
    networks = {}
    for chain_id, contracts in file.inside("networks").table(value).items():
        place = file.inside(f"networks.{chain_id}")
        if not CHAIN_ID.fullmatch(chain_id):
            place.refuse(f"{chain_id!r} is not a chain id. Example: [networks.137]")
        networks[int(chain_id)] = {
            role: _known_contracts(value, place.inside(role)) for role, value in place.table(contracts, roles).items()
        }
    return networks


def _known_contracts(value: object, place: Place) -> tuple[KnownContract, ...]:
    tables = value if isinstance(value, list) else [value]
    return tuple(_known_contract(table, place) for table in tables)


def _known_contract(value: object, place: Place) -> KnownContract:
    table: Mapping[str, Any] = place.table(value, ("address", "start_block"), '{ address = "0x...", start_block = 1 }')
    if "start_block" not in table:
        place.refuse("'start_block' is missing. Example: start_block = 35000000")
    text = place.text(table, "address", "0x...")
    return KnownContract(address(text, place.inside("address")), place.block_number(table, "start_block", 0))
