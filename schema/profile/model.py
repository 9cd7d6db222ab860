"""A profile: data that says which event of which contract means which fact.

```toml
name = "device-certificate"

[[event]]
contract  = "certificate"
signature = "FirmwareUpdated(uint256 indexed tokenId, string toVersion, uint8 result)"
fact      = "FirmwareUpdated"
fields    = { token_id = "tokenId", to_version = "toVersion", result = { arg = "result", map = { "9" = "FAILED" } } }
```

- `contract` is the role of the emitter; settings give its addresses, `[networks.<chain id>]` those that are public.
- A field is an argument, `{ const = ... }`, or `{ arg = ..., map = {...} }`. The keys of a map are the argument's
  values as text; a value that it does not list stays as it is where the field takes it, else `default` must say what it
  becomes. A code may be given by its name. A field that is left out is unknown. A fact has no place for a number below
  zero: such a log does not fit, unless a map gives it another meaning.
- `first_block` and `last_block` limit a rule, both included. `where = { argument = value }` makes it apply only to logs
  whose argument is that value, or the address of a role: `"@role"`. No two rules may claim one log.
- `token`, `manufacturer`, `hardware_license`, `vehicle` and `license` name the role whose ids `token_id`,
  `manufacturer_id`, `hardware_license_id`, `vehicle_id` and `license_id` are; without them they are the emitter's.
- `unread = ["role"]`, above the first rule, names contracts whose logs are kept though no rule reads them.
- `[[call]]` tells of functions that say more than the events do: see `schema.profile_calls`.
- `[grants.<source>]` says what a grant of that source means. The source of a rule is a constant, `contract` if it gives
  none.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from schema.events import Address, UserAuthorized, UserRevoked
from schema.profile.calls import Call, check_calls, compile_calls, parse_calls
from schema.profile.errors import Place, ProfileError, suggestion, toml
from schema.profile.reader import UNMAPPED, DecodedLog, Mapped, Reader, Undecodable, Unmapped, check_addresses
from schema.profile.rules import ROLE, Constant, Rule, check_rules, parse_rule
from schema.profile.values import address

__all__ = [
    "UNMAPPED",
    "DecodedLog",
    "GrantPolicy",
    "KnownContract",
    "Mapped",
    "Profile",
    "ProfileError",
    "Reader",
    "Undecodable",
    "Unmapped",
    "ZeroExpiry",
    "load_profile",
    "parse_profile",
    "shipped_profiles",
]

SHIPPED = Path(__file__).parents[1] / "profiles"
CHAIN_ID = re.compile("[1-9][0-9]{0,18}", re.ASCII)


class ZeroExpiry(StrEnum):
    """What an expiry of zero seconds means."""

    NEVER = "never"
    REVOKES = "revokes"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPolicy:
    """How the grants of one source end.

    `expiry_inclusive`: the second of the expiry is still inside. `zero_permissions_revoke`: a grant of no permissions
    ends the grant before it. `permission_bits`: a permission is granted where this many bits, side by side, are set.
    """

    zero_expiry: ZeroExpiry
    expiry_inclusive: bool
    zero_permissions_revoke: bool
    voided_by_transfer: bool
    permission_bits: int = 1


@dataclass(frozen=True, slots=True)
class KnownContract:
    address: Address
    start_block: int


@dataclass(frozen=True, slots=True)
class Profile:
    """`text` is the TOML it was read from; `networks` holds, by chain id and role, the contracts that are public."""

    name: str
    text: str
    origin: str
    rules: tuple[Rule, ...]
    unread: tuple[str, ...]
    grant_policies: Mapping[str, GrantPolicy]
    networks: Mapping[int, Mapping[str, tuple[KnownContract, ...]]]
    calls: tuple[Call, ...]

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of contracts, those with rules first, in the order of the file."""
        return _roles(self.rules, self.unread)

    def compile(self, contracts: Mapping[str, Sequence[bytes]]) -> Reader:
        """Return a reader for the 20-byte addresses of each role.

        A role without an address is not watched; rules that need its address do not apply, and an optional id of a
        contract that is not watched stays unknown. Raises `ProfileError` for an unknown role and for addresses that
        cannot be told apart.
        """
        addresses = check_addresses(self.rules, self.roles, contracts, Place((self.origin,)))
        bits = {source: policy.permission_bits for source, policy in self.grant_policies.items()}
        return Reader(self.rules, addresses, bits, compile_calls(self.calls, addresses))


def load_profile(name_or_path: str) -> Profile:
    """Load a shipped profile by its name, or one of the user's by the path of its TOML file. Raises `ProfileError`."""
    path = Path(name_or_path)
    if path.suffix != ".toml" and len(path.parts) <= 1:
        path = SHIPPED / f"{name_or_path.replace('-', '_')}.toml"
        if not path.is_file():
            raise ProfileError(
                f"no profile {name_or_path!r} is shipped, only {', '.join(shipped_profiles())}; "
                "one of your own is given by the path of its file, such as ./mine.toml"
            )
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark of its byte order
    except OSError as error:
        raise ProfileError(f"{name_or_path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"{name_or_path}: byte {error.start} is not UTF-8, which TOML must be") from None
    return parse_profile(text, path.name if path.parent == SHIPPED else name_or_path)


def parse_profile(text: str, origin: str) -> Profile:
    """Read and check the TOML of a profile; `origin` names it in errors. Raises `ProfileError`."""
    file = Place((origin,))
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # tomllib lets through what int() and the stack refuse
        raise ProfileError(f"{origin}: {error}") from None
    table = file.table(document, ("name", "unread", "event", "call", "grants", "networks"))
    name = file.text(table, "name", "my-certificate")
    if not name.isprintable():
        file.refuse(f"'name' is {name!r}, which cannot be shown. Example: name = \"my-certificate\"")
    events = table.get("event", [])
    if not isinstance(events, list) or not events:
        file.refuse("has no rule. Each begins with a line [[event]]")
    rules = tuple(parse_rule(event, number, file) for number, event in enumerate(events, start=1))
    check_rules(rules, file)
    unread = _unread(table.get("unread", []), rules, file)
    calls = parse_calls(table.get("call", []), file)
    check_calls(calls, _roles(rules, unread), file)
    return Profile(
        name=name,
        text=text,
        origin=origin,
        rules=rules,
        unread=unread,
        grant_policies=_grant_policies(table.get("grants", {}), rules, file),
        networks=_networks(table.get("networks", {}), _roles(rules, unread), file),
        calls=calls,
    )


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with the product."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def _roles(rules: Sequence[Rule], unread: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*(rule.contract for rule in rules), *unread)))


def _unread(value: object, rules: Sequence[Rule], file: Place) -> tuple[str, ...]:
    place = file.inside("unread")
    if not isinstance(value, list):
        place.refuse(f'is {toml(value)}, expected a list of roles. Example: unread = ["vehicle"]')
    read = {rule.contract for rule in rules}
    for role in value:
        if not isinstance(role, str) or not ROLE.fullmatch(role):
            place.refuse(f"{toml(role)} is no role: use letters, digits, - and _")
        if role in read:
            place.refuse(f"the role {role!r} has rules, so its logs are read")
    return tuple(value)


def _grant_policies(value: object, rules: Sequence[Rule], file: Place) -> Mapping[str, GrantPolicy]:
    policies = {
        source: _grant_policy(table, file.inside(f"grants.{source}"))
        for source, table in file.inside("grants").table(value).items()
    }
    used = set()
    for rule in rules:
        if rule.fact_type in (UserAuthorized, UserRevoked):
            source = _source(rule)
            used.add(source)
            if source not in policies:
                file.inside(rule.title).refuse(
                    f"the grant source {source!r} has no policy; say what its grants mean. "
                    f'Example: [grants.{source}] zero_expiry = "never"'
                )
    for source in policies.keys() - used:
        file.inside(f"grants.{source}").refuse(f"no rule grants with this source{suggestion(source, used)}")
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
        voided_by_transfer=place.flag(table, "voided_by_transfer"),
        permission_bits=_permission_bits(table.get("permission_bits", 1), place),
    )


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
            place.refuse(f"{chain_id!r} is no chain id. Example: [networks.137]")
        networks[int(chain_id)] = {
            role: _known_contracts(written, place.inside(role))
            for role, written in place.table(contracts, roles).items()
        }
    return networks


def _known_contracts(value: object, place: Place) -> tuple[KnownContract, ...]:
    tables = value if isinstance(value, list) else [value]
    return tuple(_known_contract(table, place) for table in tables)


def _known_contract(value: object, place: Place) -> KnownContract:
    table: Mapping[str, Any] = place.table(value, ("address", "start_block"), '{ address = "0x...", start_block = 1 }')
    if "start_block" not in table:
        place.refuse("'start_block' is missing. Example: start_block = 35000000")
    written = place.text(table, "address", "0x...")
    return KnownContract(address(written, place.inside("address")), place.count(table, "start_block", 0))
