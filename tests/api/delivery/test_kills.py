"""The sender is killed again and again: nothing is lost, nothing is out of order, and a duplicate has the same id."""

from pathlib import Path

import pytest

from scripts.soaking.deliveries import DeliveryStorm, Ledger
from scripts.soaking.lives import KILL_POINTS
from tests.support.api.receiving import Received

pytestmark = pytest.mark.slow


@pytest.mark.direct
async def test_killed_at_any_moment_it_delivers_everything_in_order(database_url: str, tmp_path: Path) -> None:
    storm = DeliveryStorm(database_url, tmp_path, events=1000, seed=1, life=0.8)
    await storm.run()
    assert storm.ends.keys() >= KILL_POINTS.keys()
    assert storm.ledger.retractions >= 150, "the receiver had them before the reorg"


def test_the_judge_of_the_storm_finds_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(sequence: int, event: str, *, retracted: bool = False, body: bytes = b"") -> Received:
        received = Received({"webhook-id": f"msg_{sequence}"}, body)
        events[received] = {
            "sequence": f"{sequence:016}",
            "data": {"retracted": retracted, "event": {"id": event}},
        }
        return received

    events: dict[Received, object] = {}
    monkeypatch.setattr(Received, "__hash__", lambda received: id(received))
    monkeypatch.setattr(Received, "event", property(lambda received: events[received]))
    ledger = Ledger()
    for good in (message(1, "a"), message(2, "b"), message(1, "a"), message(3, "b", retracted=True)):
        ledger.take(good)
    assert (ledger.events, ledger.duplicates, ledger.retractions) == (["a"], 1, 1)
    for wrong in (message(5, "c"), message(2, "b", body=b"other"), message(4, "b", retracted=True)):
        with pytest.raises(AssertionError):
            ledger.take(wrong)
