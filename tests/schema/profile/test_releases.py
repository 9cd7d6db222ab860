"""The texts of shipped profiles: which one makes a rebuild due."""

import pytest

from schema.profile.model import Profile, load_profile, shipped_profiles
from schema.profile.releases import TEXTS, differs_from_release, digest_of

PROFILES = [load_profile(name) for name in shipped_profiles()]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_last_text_is_the_present_one(profile: Profile) -> None:
    name, text = profile.name, profile.text
    assert TEXTS[name][-1] == digest_of(text), f"append {digest_of(text)!r} in schema/profile/releases.py"
    assert not differs_from_release(name, text)


def test_only_an_earlier_text_makes_a_rebuild_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.profile.releases.TEXTS", {"mine": (digest_of("old"), digest_of("new"))})
    assert [differs_from_release("mine", text) for text in ("old", "new", "of a user")] == [True, False, False]
    assert not differs_from_release("another", "old")
