"""Beginning and end of grants, by the policy of their source."""

from indexer.changes import GrantKey
from indexer.fold.located_fact import LocatedFact
from indexer.fold.row_changes import RowChanges
from schema.events import UserAuthorized
from schema.profile.model import GrantPolicy, ZeroExpiry
from schema.tables import rows
from schema.tables.values import OPEN, saturate, text_key, uint256_bytes
from schema.vocabulary import AuthorizationEndReason


def authorize(
    changes: RowChanges, policy: GrantPolicy, located: LocatedFact, fact: UserAuthorized, device: int
) -> None:
    """Replaces the open grant of the same key. If the policy reads the fact as a revocation, only ends that grant."""
    key = (device, fact.user, fact.source, fact.scope)
    expires_at = expiry(policy, fact)
    if expires_at is None:
        end_grant(changes, key, located, AuthorizationEndReason.REVOKED)
        return
    end_grant(changes, key, located, AuthorizationEndReason.REPLACED)
    row = rows.Authorization(
        device,
        located.position,
        fact.user,
        fact.source,
        fact.scope,
        expires_at,
        located.block_time,
        organization=fact.organization or None,
        organization_key=text_key(fact.organization),
        permissions=None if fact.permissions is None else uint256_bytes(fact.permissions),
        agreement_uri=fact.agreement_uri or None,
    )
    changes.authorization.start(key, row)
    changes.grants_of.setdefault(device, set()).add(key)


def end_grant(changes: RowChanges, key: GrantKey, located: LocatedFact, reason: AuthorizationEndReason) -> None:
    """Ends the open grant of the key, if there is one."""
    if key in changes.authorization.open:
        grant = changes.authorization.end(key, located.position)
        grant.ended_at = located.block_time
        grant.end_reason = reason.value
        changes.grants_of[key[0]].discard(key)


def expiry(policy: GrantPolicy, fact: UserAuthorized) -> int | None:
    """Returns the first second without access, None if the policy reads the grant as a revocation."""
    if fact.permissions == 0 and policy.zero_permissions_revoke:
        return None
    if fact.expires_at is None:
        return OPEN
    if fact.expires_at == 0 and policy.zero_expiry is not ZeroExpiry.EXPIRED:
        return OPEN if policy.zero_expiry is ZeroExpiry.NEVER else None
    return saturate(fact.expires_at + policy.expiry_inclusive)
