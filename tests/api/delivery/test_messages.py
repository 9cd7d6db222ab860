"""What a message has of an event, and its ids."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from graphql import FieldNode, FragmentDefinitionNode, InlineFragmentNode, is_leaf_type, parse, validate

from api.delivery.feed import FIELDS, QUERY, Block, Change, Device, Envelope
from api.delivery.messages import messages_of, trial_body
from api.graphql.schema import build_schema

LEFT_OUT = {"eventTimeSeconds", "verification", "verificationNote"}
"""`eventTime` in another form, and what changes while the event stays."""


def test_a_message_has_all_that_an_event_recorded() -> None:
    """The file of the selection names every field of every kind of event: a new one must be added there."""
    schema: Any = build_schema()._schema
    interface = schema.type_map["LifecycleEvent"]
    (fragment,) = parse(FIELDS).definitions
    assert isinstance(fragment, FragmentDefinitionNode)
    common, selected = set(), {}
    for node in fragment.selection_set.selections:
        if isinstance(node, InlineFragmentNode):
            assert node.type_condition is not None
            selected[node.type_condition.name.value] = names_of(node.selection_set.selections)
        else:
            assert isinstance(node, FieldNode)
            common.add(node.name.value)
    leaves = {name for name, field in interface.fields.items() if is_leaf_type(named(field.type))}
    assert leaves - common == LEFT_OUT
    for kind in schema.get_possible_types(interface):
        own = {name for name, field in kind.fields.items() if name not in interface.fields}
        missing = own - selected.get(kind.name, set()) - {"licensedManufacturer"}
        assert missing <= ({"manufacturer"} if kind.name == "HardwareLicensed" else set()), kind.name


def names_of(nodes: Any) -> set[str]:
    return {node.name.value for node in nodes}


def named(type_: Any) -> Any:
    while hasattr(type_, "of_type"):
        type_ = type_.of_type
    return type_


def change(event: str = "E1", *, retracted: bool = False, cursor: str = "C1", device: str | None = "did:x") -> Change:
    envelope = Envelope(
        event, "DEVICE_MINTED", "2023-11-14T22:14:20Z", "0xC", Block("137"), (device and Device(device)) or None
    )
    return Change(cursor, retracted, envelope, msgspec.Raw(b'{"id": "E1"}'))


def test_the_attributes_are_those_of_a_cloud_event() -> None:
    (message,) = messages_of([change()], "epoch", 41)
    assert msgspec.json.decode(message.body) == {
        "specversion": "1.0",
        "id": message.id,
        "source": "eip155:137:0xC",
        "type": "certindex.event.device_minted",
        "subject": "did:x",
        "time": "2023-11-14T22:14:20Z",
        "datacontenttype": "application/json",
        "sequence": "0000000000000042",
        "data": {"cursor": "C1", "retracted": False, "event": {"id": "E1"}},
    }
    assert (message.sequence, message.type, message.recorded_at) == (42, "certindex.event.device_minted", 1700000060.0)
    (without,) = messages_of([change(device=None, retracted=True)], "epoch", 41)
    assert "subject" not in msgspec.json.decode(without.body)
    assert without.type == "certindex.retraction.device_minted"


@pytest.mark.parametrize(
    "other",
    [
        messages_of([change("E2")], "epoch", 1),
        messages_of([change(retracted=True)], "epoch", 1),
        messages_of([change(cursor="C2")], "epoch", 1),
        messages_of([change()], "epoch", 2),
        messages_of([change()], "other", 1),
    ],
)
def test_another_message_has_another_id(other: Any) -> None:
    (message,) = messages_of([change()], "epoch", 1)
    assert message.id == messages_of([change()], "epoch", 1)[0].id
    assert message.id != other[0].id


def test_a_test_message_is_a_cloud_event_too() -> None:
    event = msgspec.json.decode(trial_body("msg_test", datetime(2023, 11, 14, tzinfo=UTC)))
    assert (event["specversion"], event["type"], event["time"]) == ("1.0", "certindex.test", "2023-11-14T00:00:00Z")


def test_the_selection_is_valid() -> None:
    assert validate(build_schema()._schema, parse(f"{QUERY}\n{FIELDS}")) == []
