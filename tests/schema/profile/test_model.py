"""Profiles: which files are valid, and where an invalid one is wrong."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schema
from schema.events import FACT_TYPES, DeviceMinted, UserAuthorized
from schema.profile import calls, factories, model
from schema.profile.errors import ProfileError
from schema.profile.model import GrantPolicy, ZeroExpiry, load_profile, parse_profile, shipped_profiles
from schema.profile.parsing import BINDING_KEYS, JOIN_KEYS, RULE_KEYS
from schema.profile.values import FACT_FIELDS
from tests.support.profile import PROFILE

MINT_RULE = (
    "rule 1 (Minted(uint256 indexed id, address device, string serial, bytes32 hash, uint8 state, string indexed tag))"
)
GRANT_RULE = "rule 2 (Granted(uint256 indexed id, address user, bool open))"

MINT_FIELDS = '{ token_id = "id", address = "device", serial_number = "serial" }'
GRANT_FIELDS = '{ token_id = "id", user = "user" }'


def ended(process: str) -> str:
    return f"""
[[event]]
contract = "certificate"
signature = "Ended(uint256 indexed id, uint8 how, string indexed word, bool last, int8 level)"
fact = "EndOfLifeRecorded"
fields = {{ token_id = "id", process = {process} }}
"""


def test_the_profile_that_the_errors_start_from_is_valid() -> None:
    profile = parse_profile(PROFILE, "mine.toml")
    assert (profile.name, profile.roles, len(profile.rules)) == ("mine", ("certificate",), 2)
    assert profile.grant_policies == {
        "contract": GrantPolicy(
            zero_expiry=ZeroExpiry.NEVER,
            expiry_inclusive=False,
            zero_permissions_revoke=False,
            voided_by_transfer=frozenset(),
        )
    }


REFUSALS = [
    # the file
    ('name = "mine"', "name = mine", "Invalid value (at line 1, column 8)"),
    ('name = "mine"', "nam = 'mine'", "unknown key 'nam'; did you mean 'name'?"),
    ('name = "mine"', "", "'name' is missing. Example: name = \"my-certificate\""),
    ('name = "mine"', "name = 7", "'name' is 7, expected a text"),
    ('name = "mine"', 'name = "mi\\u0000ne"', r"'name' is 'mi\x00ne', which is not printable"),
    (PROFILE, 'name = "mine"', "has no rule. Each rule begins with a line [[event]]"),
    (PROFILE, 'name = "mine"\nevent = 3', "has no rule"),
    (PROFILE, 'name = "mine"\nevent = [3]', "rule 1: expected a table, found 3"),
    (PROFILE, "a = " + "9" * 5000, "4300 digits"),
    (PROFILE, "a = " + "[" * 100_000, "recursion"),
    # a rule
    ('fact = "DeviceMinted"', 'fakt = "DeviceMinted"', f"{MINT_RULE}: unknown key 'fakt'; did you mean 'fact'?"),
    ('fact = "DeviceMinted"', "", f"{MINT_RULE}: 'fact' is missing"),
    ('fact = "DeviceMinted"', 'fact = "DeviceMint"', f"{MINT_RULE}: unknown fact 'DeviceMint'; did you mean 'Device"),
    ('signature = "Minted', 'Signature = "Minted', "rule 1: unknown key 'Signature'; did you mean 'signature'?"),
    ("(uint256 indexed id, address device,", "(uint257 indexed id, address device,", "unknown type 'uint257'"),
    (
        'contract = "certificate"\nsignature = "Minted',
        'contract = "a,b"\nsignature = "Minted',
        '"a,b" is not a role name',
    ),
    (
        'fact = "DeviceMinted"',
        'fact = "DeviceMinted"\nfirst_block = -1',
        "'first_block' is -1, expected a block number",
    ),
    (
        'fact = "DeviceMinted"',
        'fact = "DeviceMinted"\nfirst_block = 9\nlast_block = 8',
        f"{MINT_RULE}: first_block 9 is above last_block 8",
    ),
    # its fields
    (MINT_FIELDS, "7", "fields: expected a table, found 7. Example: fields ="),
    (MINT_FIELDS, "{}", "DeviceMinted needs the field 'token_id'"),
    (MINT_FIELDS, '{ token = "id" }', "fields: unknown key 'token'; did you mean 'token_id'?"),
    (
        MINT_FIELDS,
        '{ token_id = "di" }',
        f"{MINT_RULE}: field 'token_id': no argument 'di' in the signature; there are",
    ),
    (MINT_FIELDS, '{ token_id = "zzz" }', "there are: device, hash, id, serial, state, tag"),
    (MINT_FIELDS, "{ token_id = 7 }", "field 'token_id': expected a table, found 7. Example: token_id = \"argument\""),
    (MINT_FIELDS, "{ token_id = {} }", 'write either arg = "argument" or const = value'),
    (MINT_FIELDS, '{ token_id = { arg = "id", const = 1 } }', 'write either arg = "argument" or const = value'),
    (MINT_FIELDS, "{ token_id = { const = 1, default = 2 } }", "a const takes neither map nor default"),
    (MINT_FIELDS, '{ token_id = { arg = "id", default = 2 } }', "and there is no map"),
    (MINT_FIELDS, '{ token_id = { arg = "id", maps = {} } }', "unknown key 'maps'; did you mean 'map'?"),
    (MINT_FIELDS, '{ token_id = "serial" }', "field 'token_id': string serial is not an id"),
    (MINT_FIELDS, '{ token_id = "id", address = "id" }', "field 'address': uint256 id is not an address"),
    (
        MINT_FIELDS,
        '{ token_id = "id", imei = "hash" }',
        'bytes32 hash is not a text: write { arg = "hash", as = "text" } or { arg = "hash", as = "hex" }',
    ),
    (MINT_FIELDS, '{ token_id = "id", imei = "state" }', 'is not a text: write { arg = "state", as = "decimal" }'),
    (MINT_FIELDS, '{ token_id = "id", imei = { arg = "hash", as = "utf8" } }', 'as is "utf8"; there are: decimal, hex'),
    (MINT_FIELDS, '{ token_id = "id", imei = { arg = "hash", as = 7 } }', "as is 7; there are: decimal, hex, text"),
    (
        MINT_FIELDS,
        '{ token_id = "id", imei = { arg = "id", as = "hex" } }',
        'uint256 id has no form as = "hex"',
    ),
    (MINT_FIELDS, '{ token_id = "id", imei = { arg = "tag", as = "text" } }', 'string tag has no form as = "text"'),
    (MINT_FIELDS, '{ token_id = "id", address = { arg = "hash", as = "hex" } }', "and this field is an address"),
    (MINT_FIELDS, '{ token_id = { arg = "id", as = "decimal", map = {} } }', "as is for values that no map"),
    (MINT_FIELDS, '{ token_id = { const = 1, as = "text" } }', "a const takes neither map nor default nor as"),
    (
        "address device, string serial, bytes32 hash, uint8 state, string indexed tag)",
        "(address who, bool on) device, string serial, bytes32 hash, uint8 state, (bytes id, bool on)[] tags)",
        "field 'address': (address,bool) device is not an address",
    ),
    (
        'address = "device", serial_number',
        'address = "device.who", serial_number',
        "no argument 'device.who' in the signature; did you mean 'device'?",
    ),
    (MINT_FIELDS, '{ token_id = "id", imei = "tag" }', "string tag is indexed, so the log contains only its hash"),
    (MINT_FIELDS, '{ token_id = "id", imei = { const = 7 } }', "field 'imei': 7 is not a text"),
    (MINT_FIELDS, '{ token_id = { const = "7" } }', "field 'token_id': \"7\" is not an id"),
    (MINT_FIELDS, "{ token_id = { const = true } }", "field 'token_id': true is not an id"),
    (MINT_FIELDS, "{ token_id = { const = -1 } }", "field 'token_id': -1 is not an id"),
    (MINT_FIELDS, '{ token_id = "id", address = { const = "0x12" } }', '"0x12" is not 0x and 40 hex digits'),
    # subjects and where
    (
        MINT_FIELDS,
        MINT_FIELDS + '\ntoken = "tag"',
        "'token' names the role 'tag', which no rule has; there are: certif",
    ),
    (
        MINT_FIELDS,
        MINT_FIELDS + '\nmanufacturer = "certificate"',
        "'manufacturer' names the contract of manufacturer_id, but the rule sets no manufacturer_id of DeviceMinted",
    ),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { device = "@certificat" }', "did you mean 'certificate'?"),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { devise = "@certificate" }', "where: no argument 'devise' in the sign"),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { id = "@certificate" }', "where 'id': \"@certificate\" is the address of"),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { device = "!@certificate" }', 'write "!@" for the address of no watched'),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { id = "!@" }', "where 'id': \"!@\" is the address of a role"),
    (MINT_FIELDS, MINT_FIELDS + "\nwhere = { state = 256 }", "where 'state': 256 is not a valid uint8"),
    (MINT_FIELDS, MINT_FIELDS + '\nwhere = { hash = "0x00" }', '"0x00" is not 0x and 64 hex digits'),
    # grants
    ("[grants.contract]", "[grants.contrakt]", f"{GRANT_RULE}: the grant source 'contract' has no policy; declare one"),
    ('zero_expiry = "never"', "", "grants.contract: 'zero_expiry' is missing"),
    (
        'fact = "UserAuthorized"',
        'fact = "AccessGranted"',
        f"{GRANT_RULE}: fields: unknown key 'token_id'",
    ),
    (
        f'fact = "UserAuthorized"\nfields = {GRANT_FIELDS}',
        'fact = "AccessGranted"\nfields = { user = "user" }',
        "AccessGranted needs exactly one of the fields vehicle_id, synthetic_device_id, manufacturer_id, grantor",
    ),
    (
        f'fact = "UserAuthorized"\nfields = {GRANT_FIELDS}',
        'fact = "AccessGranted"\nfields = { user = "user", vehicle_id = "id", grantor = "user" }',
        "AccessGranted needs exactly one of the fields",
    ),
    (
        'zero_expiry = "never"',
        'zero_expiry = "never"\nvoided_by_transfer = 1',
        "voided_by_transfer is 1, expected true, false or a list of device, vehicle, synthetic_device, manufacturer",
    ),
    (
        'zero_expiry = "never"',
        'zero_expiry = "never"\nvoided_by_transfer = ["vehicel"]',
        "voided_by_transfer: \"vehicel\" is not transferred; did you mean 'vehicle'?",
    ),
    ('zero_expiry = "never"', 'zero_expiry = "ever"', "zero_expiry is \"ever\"; did you mean 'never'?"),
    ('zero_expiry = "never"', 'zero_expiry = "never"\nexpiry_inclusive = 1', "'expiry_inclusive' is 1, expected true"),
    ("[networks.137]", '[grants.sacd]\nzero_expiry = "never"\n[networks.137]', "grants.sacd: no rule uses this source"),
    (GRANT_FIELDS, '{ token_id = "id", user = "user", source = "id" }', "a source is the grant system of the whole"),
    (
        GRANT_FIELDS,
        '{ token_id = "id", user = "user", source = { arg = "id", map = { "1" = "contract" }, default = "b" } }',
        "a source is the grant system of the whole",
    ),
    (GRANT_FIELDS, '{ token_id = "id", user = "user", scope = "open" }', "field 'scope': bool open is not a scope"),
    # networks
    ("[networks.137]", "[networks.polygon]", "networks.polygon: 'polygon' is not a chain id. Example: [networks.137]"),
    ("certificate = {", "certificates = {", "networks.137: unknown key 'certificates'; did you mean 'certificate'?"),
    ("start_block = 7", "start = 7", "networks.137: certificate: unknown key 'start'"),
    ("[networks.137]", f"[networks.{'1' * 5000}]", "is not a chain id. Example: [networks.137]"),
    (", start_block = 7", "", "'start_block' is missing"),
    ("start_block = 7", f"start_block = {2**43}", f"'start_block' is {2**43}, expected a block number"),
    (
        "0x9c94C395",
        "0x9C94C395",
        "has a wrong checksum. If the digits are right, write 0x9c94C395cBcBDe662235E0A9d3bB87Ad708561BA",
    ),
    # two rules for one log
    (
        PROFILE,
        PROFILE + PROFILE[PROFILE.index("[[event]]") :],
        "rule 3 (Minted(uint256 indexed id, address device,",
    ),
    (
        PROFILE,
        PROFILE + ended('"how"') * 2,
        "rule 3 already matches this event of 'certificate' with 3 topics",
    ),
    # maps and codes
    (
        PROFILE,
        PROFILE + ended('{ const = "RECYCLE" }'),
        "\"RECYCLE\" is not in EndOfLifeProcess; did you mean 'RECYCLED'?",
    ),
    (PROFILE, PROFILE + ended('{ arg = "how", map = {} }'), "field 'process': map: lists nothing"),
    (
        PROFILE,
        PROFILE + ended('{ arg = "how", map = { "256" = 1 } }'),
        "field 'process': map: 256 is not a valid uint8",
    ),
    (PROFILE, PROFILE + ended('{ arg = "how", map = { "one" = 1 } }'), 'map: "one" is not a whole number'),
    (
        PROFILE,
        PROFILE + ended('{ arg = "how", map = { "1" = 1, "0x1" = 2 } }'),
        'map: "0x1" is listed twice',
    ),
    (
        PROFILE,
        PROFILE + ended('{ arg = "word", map = { "a" = 1 } }'),
        "a value of string word that the map does not list",
    ),
    (PROFILE, PROFILE + ended('{ arg = "last", map = { "true" = 1 } }'), "give a default for it"),
    (PROFILE, PROFILE + ended('{ arg = "last", map = { "yes" = 1 } }'), 'map: "yes" is not a valid bool'),
    (PROFILE, PROFILE + ended('{ arg = "level", map = { "-129" = 1 } }'), "-129 is not a valid int8"),
]


@pytest.mark.parametrize(("right", "wrong", "refusal"), REFUSALS, ids=[refusal for _, _, refusal in REFUSALS])
def test_an_invalid_profile_is_refused_with_the_place(right: str, wrong: str, refusal: str) -> None:
    assert right in PROFILE
    with pytest.raises(ProfileError) as error:
        parse_profile(PROFILE.replace(right, wrong, 1), "mine.toml")
    assert str(error.value).startswith("mine.toml: ")
    assert refusal in str(error.value)


TESTED = """
[[event]]
contract = "certificate"
signature = "Tested(uint256 indexed id, uint8 bench, bool ok)"
fact = "TestRecorded"
fields = { token_id = "id", passed = "ok", kind = KIND }
"""


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ('"bench"', "uint8 bench is not a kind of test: write a const, or a map with a default"),
        ('{ const = "QUALTY" }', "\"QUALTY\" is not a kind of test; did you mean 'QUALITY'?"),
        (
            '{ arg = "bench", map = { "1" = "QUALITY" } }',
            "a value of uint8 bench that the map does not list is not a kind of test",
        ),
        ('{ arg = "bench", map = { "1" = "QUALITY" }, default = 3 }', "default: 3 is not a kind of test"),
    ],
)
def test_a_kind_of_test_is_a_constant_or_mapped(kind: str, refusal: str) -> None:
    with pytest.raises(ProfileError) as error:
        parse_profile(PROFILE + TESTED.replace("KIND", kind), "mine.toml")
    assert f"rule 3 (Tested(uint256 indexed id, uint8 bench, bool ok)): field 'kind': {refusal}" in str(error.value)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("last_block = 9", "first_block = 10"),
        ("where = { how = 1 }", "where = { how = 2, last = true }"),
        ('where = { word = "a" }', 'where = { word = "b" }'),
    ],
)
def test_two_rules_for_one_event_are_valid_if_no_log_matches_both(first: str, second: str) -> None:
    profile = parse_profile(PROFILE + ended('"how"') + first + ended('"how"') + second, "mine.toml")
    assert len(profile.rules) == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("last_block = 10", "first_block = 10"),
        ("where = { how = 1 }", "where = { last = true }"),
        ("where = { how = 1 }", ""),
    ],
)
def test_rules_that_could_match_one_log_are_refused(first: str, second: str) -> None:
    with pytest.raises(ProfileError, match=r"rule 4 .* rule 3 already matches this event"):
        parse_profile(PROFILE + ended('"how"') + first + ended('"how"') + second, "mine.toml")


def test_a_role_and_an_address_may_be_the_same_so_their_rules_overlap() -> None:
    rule = PROFILE[PROFILE.index("[[event]]") : PROFILE.index(MINT_FIELDS) + len(MINT_FIELDS)]
    by_role = f'{rule}\nwhere = {{ device = "@certificate" }}\n'
    by_address = f'{rule}\nwhere = {{ device = "0x{"1" * 40}" }}\n'
    with pytest.raises(ProfileError, match="rule 1 already matches"):
        parse_profile('name = "mine"\n' + by_role + by_address, "mine.toml")


@given(st.text() | st.text("[]{}=\"'.\n event#0x-", max_size=60).map(lambda tail: PROFILE + tail))
def test_any_text_is_a_profile_or_a_profile_error(text: str) -> None:
    try:
        profile = parse_profile(text, "mine.toml")
    except ProfileError:
        return
    assert profile.rules


# Shipped profiles and files


def test_the_reference_profile_reads_every_event_of_the_reference_contract() -> None:
    artifact = json.loads((Path(schema.__file__).parent / "contract" / "DeviceCertificate.json").read_text())
    declared = {
        entry["name"]: [(argument["name"], argument["type"], argument["indexed"]) for argument in entry["inputs"]]
        for entry in artifact["abi"]
        if entry["type"] == "event" and entry["name"] not in ("Approval", "ApprovalForAll")
    }
    rules = load_profile("device-certificate").rules
    assert {rule.event.name: [(a.name, a.type, a.indexed) for a in rule.event.inputs] for rule in rules} == declared


def test_the_reference_profile_fills_every_field_that_its_contract_can() -> None:
    # the contract's grants have neither scope nor agreement, and its resets set no address
    absent = {("UserAuthorized", "scope"), ("UserAuthorized", "agreement_uri"), ("UserRevoked", "scope")}
    absent |= {("FactoryReset", "address")}
    rules = load_profile("device-certificate").rules
    filled = {(rule.fact_type.__name__, field) for rule in rules for field in rule.fields}
    declared_fields = {(fact.__name__, field) for fact, declared in FACT_FIELDS.items() for field in declared}
    facts = {rule.fact_type.__name__ for rule in rules}
    assert {(fact, field) for fact, field in declared_fields - filled if fact in facts} == absent


def test_the_module_describes_every_key_of_a_profile() -> None:
    keys = {
        *RULE_KEYS,
        *JOIN_KEYS,
        *factories.KEYS,
        *BINDING_KEYS,
        *calls.KEYS,
        *(field.name for field in fields(GrantPolicy)),
        "name",
        "unread",
    }
    assert {key for key in keys if not re.search(rf"\b{key}\b", model.__doc__ or "")} == set()


def test_every_fact_is_read_by_a_shipped_profile() -> None:
    facts = {rule.fact_type for name in shipped_profiles() for rule in load_profile(name).rules}
    assert facts == set(FACT_TYPES.values())


def test_every_shipped_profile_loads_by_its_name() -> None:
    assert "device_certificate" in shipped_profiles()
    for name in shipped_profiles():
        assert load_profile(name).rules == load_profile(name.replace("_", "-")).rules


def test_an_unknown_name_is_refused_with_the_shipped_names() -> None:
    with pytest.raises(ProfileError, match=r"there is no profile 'device-certficate'. There are device_certificate"):
        load_profile("device-certficate")
    with pytest.raises(ProfileError, match=r"by the path of its file, such as \./mine\.toml"):
        load_profile("")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"absent\.toml: cannot be read: No such file"):
        load_profile(str(tmp_path / "absent.toml"))
    with pytest.raises(ProfileError, match="cannot be read: Is a directory"):
        load_profile(str(tmp_path))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ProfileError, match=r"latin\.toml: byte 8 is not UTF-8"):
        load_profile(str(tmp_path / "latin.toml"))


def test_a_file_may_begin_with_a_mark_of_its_byte_order(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + PROFILE.encode())
    assert load_profile(str(tmp_path / "marked.toml")).text == PROFILE


def test_a_profile_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(PROFILE)
    profile = load_profile(str(tmp_path / "mine.toml"))
    assert profile.text == PROFILE
    assert [rule.fact_type for rule in profile.rules] == [DeviceMinted, UserAuthorized]


def test_a_role_may_be_watched_that_no_rule_reads() -> None:
    unread = PROFILE.replace('name = "mine"', 'name = "mine"\nunread = ["vault"]')
    unread += '[networks.10]\nvault = { address = "0x9c94C395cBcBDe662235E0A9d3bB87Ad708561BA", start_block = 1 }\n'
    profile = parse_profile(unread, "mine.toml")
    assert profile.roles == ("certificate", "vault")
    profile.compile({"certificate": [b"c" * 20], "vault": [b"v" * 20]})


@pytest.mark.parametrize(
    ("unread", "words"),
    [
        ('"vault"', 'unread: is "vault", expected a list of roles'),
        ("[7]", "unread: 7 is not a role name"),
        ('["a vault"]', 'unread: "a vault" is not a role name'),
        ('["certificate"]', "unread: the role 'certificate' has rules"),
    ],
)
def test_roles_without_rules_are_checked(unread: str, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        parse_profile(PROFILE.replace('name = "mine"', f'name = "mine"\nunread = {unread}'), "mine.toml")
