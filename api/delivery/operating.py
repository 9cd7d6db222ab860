"""The commands of an operator: status, replay, resume, forget, test, secret."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

from api.delivery.feed import CursorRefused
from api.delivery.messages import Message, trial_body
from api.delivery.sender import open_index, receiver_of
from api.delivery.settings import DeliverySettings
from api.delivery.signing import new_private_key, new_secret, parse_key
from api.delivery.state import REPLAY, RESUME, Position, Progress, State, state_url
from api.delivery.subscriptions import (
    BEGINNING,
    KINDS,
    NOW,
    WEBHOOK,
    Subscription,
    check_url,
    read_subscriptions,
)
from schema.program.settings import SettingsError
from schema.times import utc_seconds_text

APPLIED = "A running process does so within a second, a stopped one when it starts."


@contextmanager
def _state(settings: DeliverySettings) -> Iterator[State]:
    state = State(state_url(settings.database_url, settings.delivery_state))
    try:
        state.open()
        yield state
    finally:
        state.close()


# Status


def print_status(settings: DeliverySettings, *, as_json: bool) -> int:
    """Prints the state of each subscription, also of those that were removed from the file."""
    subscriptions = {one.name: one for one in read_subscriptions(Path(settings.subscriptions))}
    with _state(settings) as state:
        positions = state.positions()
        waiting = {name: state.messages(name) for name in positions}
    names = sorted({*subscriptions, *positions})
    rows = [_status(name, subscriptions.get(name), positions.get(name), waiting.get(name, ())) for name in names]
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    else:
        print("\n\n".join(map(_to_text, rows)))
    return 0


def _status(
    name: str, one: Subscription | None, position: Position | None, waiting: Sequence[Message]
) -> dict[str, Any]:
    progress = Progress() if position is None else position.progress
    return {
        "name": name,
        "state": _word(one, position),
        "url": None if one is None else one.shown_url,
        "finality": None if one is None else one.finality,
        "publicKeys": [] if one is None else [key.public for key in one.secrets if key.public],
        "delivered": progress.delivered,
        "deliveredAt": _time(progress.delivered_at),
        "waiting": len(waiting),
        "oldestWaiting": _time(waiting[0].recorded_at) if waiting else None,
        "cursor": None if position is None else position.cursor,
        "attempts": progress.attempts,
        "failingSince": _time(progress.failing_since),
        "nextAttemptAt": _time(progress.next_attempt_at) if progress.attempts else None,
        "error": progress.stopped or progress.error,
    }


def _word(one: Subscription | None, position: Position | None) -> str:
    if one is None:
        return "removed"
    if not one.enabled:
        return "disabled"
    if position is None:
        return "new"
    if position.progress.stopped is not None:
        return "stopped"
    return "failing" if position.progress.failing_since is not None else "delivering"


def _to_text(row: dict[str, Any]) -> str:
    lines = [f"{row['name']}: {row['state']}", f"  receiver   {row['url'] or 'not in the file'}"]
    last = f", the last at {row['deliveredAt']}" if row["deliveredAt"] else ""
    lines.append(f"  delivered  {row['delivered']}{last}")
    if row["waiting"]:
        oldest = f"the oldest recorded at {row['oldestWaiting']}"
        lines.append(f"  waiting    {row['waiting']} read and not delivered, {oldest}")
    lines += [f"  public key {key}" for key in row["publicKeys"]]
    if row["failingSince"]:
        again = "" if row["state"] == "stopped" else f", next at {row['nextAttemptAt']}"
        lines.append(
            f"  failing    since {row['failingSince']}: {row['attempts']} attempt{'s' * (row['attempts'] != 1)}{again}"
        )
    if row["error"]:
        lines.append(f"  error      {row['error']}")
    if row["state"] == "stopped":
        lines.append(f"  to go on   certindex deliver {_ways_on(row)}")
    if row["state"] == "removed":
        lines.append(f"  to go on   put it back into the file, or certindex deliver forget {row['name']}")
    return "\n".join(lines)


def _ways_on(row: dict[str, Any]) -> str:
    name = row["name"]
    if row["failingSince"]:  # the receiver wants no messages
        return f"resume {name}, or replay {name} --from CURSOR"
    # the feed has refused the cursor
    return f"replay {name} --from {BEGINNING}, once the receiver has dropped its copy"


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else utc_seconds_text(seconds)


# Requests


async def replay(settings: DeliverySettings, name: str, cursor: str) -> int:
    """Requests that a subscription goes on from a cursor. Raises SettingsError if the feed does not."""
    subscription = _named(read_subscriptions(Path(settings.subscriptions)), name, settings)
    async with open_index(settings) as index:
        feed = index.feed(subscription)
        try:
            if cursor in (BEGINNING, NOW):
                cursor = await feed.start(at_beginning=cursor == BEGINNING)
            else:
                await feed.page(cursor)
        except CursorRefused as error:
            raise SettingsError(f"--from: {error}") from None
    with _state(settings) as state:
        _require(state, name)
        state.request(name, REPLAY, cursor)
    print(f"{name} goes on from the cursor. {APPLIED}")
    return 0


def resume(settings: DeliverySettings, name: str) -> int:
    """Requests that a subscription makes its next attempt now, also if it is stopped."""
    _named(read_subscriptions(Path(settings.subscriptions)), name, settings)
    with _state(settings) as state:
        _require(state, name)
        state.request(name, RESUME)
    print(f"{name} makes the next attempt. {APPLIED}")
    return 0


def forget(settings: DeliverySettings, name: str) -> int:
    """Deletes the position of a subscription that is not in the file any more."""
    if name in {one.name for one in read_subscriptions(Path(settings.subscriptions))}:
        raise SettingsError(f'{settings.subscriptions} has the subscription "{name}": remove it from the file first.')
    with _state(settings) as state:
        if not state.forget(name):
            raise SettingsError(_unknown(name, sorted(state.positions())))
    print(f"The position of {name} is deleted.")
    return 0


def _named(subscriptions: Sequence[Subscription], name: str, settings: DeliverySettings) -> Subscription:
    for subscription in subscriptions:
        if subscription.name == name:
            return subscription
    raise SettingsError(f"{settings.subscriptions}: {_unknown(name, [one.name for one in subscriptions])}")


def _require(state: State, name: str) -> None:
    if name not in state.positions():
        raise SettingsError(f'"{name}" has not been delivered yet: start certindex deliver first.')


def _unknown(name: str, names: Sequence[str]) -> str:
    return f'there is no subscription "{name[:80]}". Subscriptions: {", ".join(names) or "none"}.'


# Test and secret


async def test(settings: DeliverySettings, target: str, secret: str | None) -> int:
    """Sends a test message to a URL or a subscription, and prints what the receiver answers."""
    subscription = _target(settings, target, secret)
    receiver = receiver_of(subscription, settings)
    id = f"msg_test_{token_hex(8)}"
    now = datetime.now(UTC)
    began = time.perf_counter()
    try:
        outcome = await receiver.send(Message(0, id, "certindex.test", now.timestamp(), trial_body(id, now)))
    finally:
        await receiver.close()
    word = "delivered" if outcome.delivered else "failed"
    print(f"{word} in {time.perf_counter() - began:.2f} s: {outcome.detail} ({subscription.shown_url}, {id})")
    return 0 if outcome.delivered else 1


def _target(settings: DeliverySettings, target: str, secret: str | None) -> Subscription:
    """Returns the subscription with a name, or one for a URL."""
    if "://" not in target:
        return _named(read_subscriptions(Path(settings.subscriptions)), target, settings)
    try:
        url = check_url(target)
        if KINDS[target.partition(":")[0]] != WEBHOOK:
            return Subscription(name="test", url=url)
        if secret is None:
            secret = new_secret()
            print(f"signed with the new secret {secret}")
        return Subscription(name="test", url=url, secrets=(parse_key(secret),))
    except ValueError as error:
        raise SettingsError(f"{target[:100]}: {error}") from None


def print_secret(*, ed25519: bool) -> int:
    """Prints a new shared secret, or a new private key and its public key."""
    secret = new_private_key() if ed25519 else new_secret()
    print(secret)
    if public := parse_key(secret).public:
        print(public)
    return 0
