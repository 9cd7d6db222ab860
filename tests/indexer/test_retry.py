"""Repeating an action that fails, with pauses that grow."""

import asyncio

import pytest

from indexer import retry
from indexer.errors import TryAgain
from indexer.retry import Backoff


async def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_success() -> None:
    backoff, stopping = Backoff(), asyncio.Event()
    stopping.set()  # no pause takes any time
    pauses = []
    for _ in range(8):
        pauses.append(backoff.seconds)
        await backoff.wait(stopping)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.seconds == 0.5


async def test_an_action_is_repeated_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.001)
    outcomes = [TryAgain("first"), TryAgain("second")]
    messages: list[str] = []

    async def act() -> str:
        if outcomes:
            raise outcomes.pop(0)
        return "done"

    assert await retry.retry(act, failed=messages.append) == "done"
    assert messages == ["first", "second"]


async def test_the_last_attempt_raises_its_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_PAUSE_SECONDS", 0.001)
    messages: list[str] = []

    async def act() -> None:
        raise TryAgain(f"failure {len(messages) + 1}")

    with pytest.raises(TryAgain, match="failure 3"):
        await retry.retry(act, attempts=3, failed=messages.append)
    assert messages == ["failure 1", "failure 2"]
