"""Messages: what a receiver gets for each change of the feed, a CloudEvent 1.0 as JSON."""

import base64
from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from api.delivery.feed import Change
from schema.times import utc_text

CONTENT_TYPE = "application/cloudevents+json"
SEQUENCE_DIGITS = 16
ID_BYTES = 15


class Message(Struct, frozen=True):
    """A message of a subscription. `sequence` counts its messages from 1. `recorded_at`: time of the event's block."""

    sequence: int
    id: str
    type: str
    recorded_at: float
    body: bytes


class _Content(Struct):
    cursor: str
    retracted: bool
    event: Raw


class CloudEvent(Struct):
    """The attributes of a message. `sequence` is the extension of that name: its texts sort as the messages do."""

    id: str
    source: str
    type: str
    time: str
    sequence: str
    data: _Content | dict[str, str]
    specversion: str = "1.0"
    subject: str | UnsetType = UNSET
    datacontenttype: str = "application/json"

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


def messages_of(changes: Sequence[Change], epoch: str, last_sequence: int) -> list[Message]:
    """Returns the messages of a page, numbered from the one after `last_sequence` on."""
    return [_message(change, epoch, number) for number, change in enumerate(changes, last_sequence + 1)]


def trial_body(id: str, now: datetime) -> bytes:
    """Returns the body of `certindex deliver test`."""
    message = "A test of the receiver: no event of a device."
    time = utc_text(now.replace(microsecond=0))
    return CloudEvent(
        id, "urn:certindex:test", "certindex.test", time, "0" * SEQUENCE_DIGITS, {"message": message}
    ).encode()


def _message(change: Change, epoch: str, sequence: int) -> Message:
    event = change.envelope
    id = _id(epoch, sequence, change)
    type = f"certindex.{'retraction' if change.retracted else 'event'}.{event.kind.lower()}"
    cloud_event = CloudEvent(
        id=id,
        source=f"eip155:{event.block.chain_id}:{event.contract}",
        type=type,
        time=event.record_time,
        sequence=f"{sequence:0{SEQUENCE_DIGITS}}",
        data=_Content(change.cursor, change.retracted, change.event),
        subject=UNSET if event.device is None else event.device.token_did,
    )
    recorded_at = datetime.fromisoformat(event.record_time).timestamp()
    return Message(sequence, id, type, recorded_at, cloud_event.encode())


def _id(epoch: str, sequence: int, change: Change) -> str:
    """Returns the id of a message: the same for each attempt, another for every other message.

    It depends on the content too. After the state was restored from a backup, a reorg may have replaced what was sent
    under the same number: the receiver must not take the one for the other.
    """
    content = f"{epoch} {sequence} {change.envelope.id} {change.retracted} {change.cursor}"
    digest = blake2b(content.encode(), digest_size=ID_BYTES).digest()
    return f"msg_{base64.b32encode(digest).decode().lower()}"
