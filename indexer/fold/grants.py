"""Beginning and end of grants on any subject, by the policy of their source."""

from collections.abc import Mapping
from typing import assert_never

from indexer.changes import GrantKey, GrantSubject
from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import SUBJECT_FIELDS, RowChanges
from schema.events import AccessGranted, AccessRevoked, GrantFact, UserAuthorized
from schema.profile.model import GrantPolicy, ZeroExpiry
from schema.tables import rows
from schema.tables.rows import EventReading
from schema.tables.values import OPEN, saturate, text_key, uint256_bytes
from schema.vocabulary import AuthorizationEndReason


def authorize(
    changes: RowChanges,
    policy: GrantPolicy,
    located: LocatedFact,
    fact: UserAuthorized | AccessGranted,
    subject: GrantSubject,
) -> None:
    """Replaces the open grant of the same key. If the policy reads the fact as a revocation, only ends that grant."""
    key = (*subject, fact.user, fact.source, fact.scope)
    expires_at = expiry(policy, fact)
    if expires_at is None:
        end_grant(changes, key, located, AuthorizationEndReason.REVOKED)
        return
    end_grant(changes, key, located, AuthorizationEndReason.REPLACED)
    row = rows.Authorization(
        subject.device_id,
        located.position,
        fact.user,
        fact.source,
        fact.scope,
        expires_at,
        located.block_time,
        organization=(organization := _organization(fact)),
        organization_key=text_key(organization),
        permissions=None if fact.permissions is None else uint256_bytes(fact.permissions),
        agreement_uri=fact.agreement_uri or None,
        vehicle_id=subject.vehicle_id,
        synthetic_device_id=subject.synthetic_device_id,
        manufacturer_id=subject.manufacturer_id,
        account_id=subject.account_id,
    )
    changes.authorization.start(key, row)
    changes.grants_of.setdefault(subject, set()).add(key)


def _organization(fact: UserAuthorized | AccessGranted) -> str | None:
    return (fact.organization or None) if isinstance(fact, UserAuthorized) else None


def apply_to_subject(
    changes: RowChanges,
    policies: Mapping[str, GrantPolicy],
    located: LocatedFact,
    fact: GrantFact,
    reading: EventReading,
) -> None:
    """Applies a grant or a revocation on anything but a device."""
    subject = _name_subject(changes, located, fact, reading)
    match fact:
        case AccessGranted():
            authorize(changes, policies[fact.source], located, fact, subject)
        case AccessRevoked():
            key = (*subject, fact.user, fact.source, fact.scope)
            end_grant(changes, key, located, AuthorizationEndReason.REVOKED)
        case _:
            assert_never(fact)


def _name_subject(changes: RowChanges, located: LocatedFact, fact: GrantFact, reading: EventReading) -> GrantSubject:
    """Returns the subject that the fact names, and sets its id in the reading."""
    if fact.vehicle_id is not None:
        reading.vehicle_id = changes.vehicle(located, fact.vehicle_id)
        return GrantSubject(vehicle_id=reading.vehicle_id)
    if fact.synthetic_device_id is not None:
        reading.synthetic_device_id = changes.synthetic_device(located, fact.synthetic_device_id)
        return GrantSubject(synthetic_device_id=reading.synthetic_device_id)
    if fact.manufacturer_id is not None:
        reading.manufacturer_id = changes.manufacturer(located, fact.manufacturer_id)
        return GrantSubject(manufacturer_id=reading.manufacturer_id)
    if fact.grantor is None:
        raise ValueError("a grant without a subject")  # the profile's check prevents it
    reading.account_id = changes.account(located, fact.grantor)
    return GrantSubject(account_id=reading.account_id)


def void(
    changes: RowChanges,
    policies: Mapping[str, GrantPolicy],
    located: LocatedFact,
    kind: str,
    subject: GrantSubject,
    *,
    burns: bool,
) -> None:
    """Ends the grants that the transfer or burn of a token ends. `kind` names it as `voided_by_transfer` does."""
    reason = AuthorizationEndReason.BURNED if burns else AuthorizationEndReason.TRANSFERRED
    for key in sorted(changes.grants_of.get(subject, ()), key=lambda key: key[SUBJECT_FIELDS:]):
        *_, source, _ = key
        if kind in policies[source].voided_by_transfer:
            end_grant(changes, key, located, reason)


def end_grant(changes: RowChanges, key: GrantKey, located: LocatedFact, reason: AuthorizationEndReason) -> None:
    """Ends the open grant of the key, if there is one."""
    if key in changes.authorization.open:
        grant = changes.authorization.end(key, located.position)
        grant.ended_at = located.block_time
        grant.end_reason = reason.value
        changes.grants_of[key[:SUBJECT_FIELDS]].discard(key)


def expiry(policy: GrantPolicy, fact: UserAuthorized | AccessGranted) -> int | None:
    """Returns the first second without access, None if the policy reads the grant as a revocation."""
    if fact.permissions == 0 and policy.zero_permissions_revoke:
        return None
    if fact.expires_at is None:
        return OPEN
    if fact.expires_at == 0 and policy.zero_expiry is not ZeroExpiry.EXPIRED:
        return OPEN if policy.zero_expiry is ZeroExpiry.NEVER else None
    return saturate(fact.expires_at + policy.expiry_inclusive)
