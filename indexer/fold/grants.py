"""How grants begin and end, by the policy of their source."""

from indexer.fold.row_changes import GrantKey, Ledger, Placed
from schema.events import UserAuthorized
from schema.profile.model import GrantPolicy, ZeroExpiry
from schema.tables import rows
from schema.tables.values import OPEN, saturate, text_key, uint256_bytes
from schema.vocabulary import AuthorizationEndReason


def authorize(ledger: Ledger, policy: GrantPolicy, at: Placed, fact: UserAuthorized, device: int) -> None:
    """Grants, in the place of the open grant of the same key; or ends that one, where the policy says so."""
    key = (device, fact.user, fact.source, fact.scope)
    expires_at = expiry(policy, fact)
    if expires_at is None:
        end_grant(ledger, key, at, AuthorizationEndReason.REVOKED)
        return
    end_grant(ledger, key, at, AuthorizationEndReason.REPLACED)
    row = rows.Authorization(
        device,
        at.position,
        fact.user,
        fact.source,
        fact.scope,
        expires_at,
        at.block_time,
        organization=fact.organization or None,
        organization_key=text_key(fact.organization),
        permissions=None if fact.permissions is None else uint256_bytes(fact.permissions),
        agreement_uri=fact.agreement_uri or None,
    )
    ledger.authorizations.start(key, row)
    ledger.grants_of.setdefault(device, set()).add(key)


def end_grant(ledger: Ledger, key: GrantKey, at: Placed, reason: AuthorizationEndReason) -> None:
    """Ends the open grant of the key, if there is one."""
    if key in ledger.authorizations.open:
        grant = ledger.authorizations.end(key, at.position)
        grant.ended_at = at.block_time
        grant.end_reason = reason.value
        ledger.grants_of[key[0]].discard(key)


def expiry(policy: GrantPolicy, fact: UserAuthorized) -> int | None:
    """Returns the first second without access; None where the grant revokes."""
    if fact.permissions == 0 and policy.zero_permissions_revoke:
        return None
    if fact.expires_at is None:
        return OPEN
    if fact.expires_at == 0 and policy.zero_expiry is not ZeroExpiry.EXPIRED:
        return OPEN if policy.zero_expiry is ZeroExpiry.NEVER else None
    return saturate(fact.expires_at + policy.expiry_inclusive)
