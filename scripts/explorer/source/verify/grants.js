// Beginning and end of grants on any subject, by the policy of their source.
import { AuthorizationEndReason, OPEN, saturate } from "./codes.js";

/** Replaces the open grant of the same key. If the policy reads the fact as a revocation, only ends that grant. */
export function authorize(rows, policy, located, owner, id) {
  const { fact, position, blockTime } = located;
  const expiresAt = expiry(policy, fact);
  const { REVOKED, REPLACED } = AuthorizationEndReason;
  endGrant(rows, owner, id, located, expiresAt === null ? REVOKED : REPLACED);
  if (expiresAt === null) return;
  rows.authorization.start(grantKey(owner, id, fact), {
    [owner]: id,
    valid_from: position,
    user_address: fact.user,
    source: fact.source,
    scope: fact.scope,
    expires_at: expiresAt,
    granted_at: blockTime,
    organization: fact.organization || null,
    permissions: fact.permissions,
    agreement_uri: fact.agreement_uri || null,
  });
}

/** Ends the open grant that the fact names, if there is one. `owner` is the column of the subject's id. */
export function endGrant(rows, owner, id, located, reason) {
  end(rows, grantKey(owner, id, located.fact), located, reason);
}

/** Ends the grants that the transfer or burn of a token ends. `kind` names it as the profile does. */
export function voidGrants(rows, policy, located, kind, id, burns) {
  const reason = burns ? AuthorizationEndReason.BURNED : AuthorizationEndReason.TRANSFERRED;
  for (const [key, grant] of [...rows.authorization.open]) {
    if (grant[`${kind}_id`] === id && policy.grants.get(grant.source).voidedByTransfer.includes(kind)) {
      end(rows, key, located, reason);
    }
  }
}

function end(rows, key, located, reason) {
  if (!rows.authorization.open.has(key)) return;
  const grant = rows.authorization.end(key, located.position);
  grant.ended_at = located.blockTime;
  grant.end_reason = reason;
}

const grantKey = (owner, id, { user, source, scope }) => JSON.stringify([owner, String(id), user, source, scope]);

/** Returns the first second without access, null if the policy reads the grant as a revocation. */
export function expiry(policy, fact) {
  if (fact.permissions === 0n && policy.zeroPermissionsRevoke) return null;
  if (fact.expires_at === null) return OPEN;
  if (fact.expires_at === 0n && policy.zeroExpiry !== "expired") return policy.zeroExpiry === "never" ? OPEN : null;
  return saturate(fact.expires_at + (policy.expiryInclusive ? 1n : 0n));
}
