"""`node` and `nodes`: objects by the ids that the API returned."""

from collections.abc import Sequence

from api.graphql.context import Context
from api.graphql.errors import BadUserInput
from api.graphql.paging.tokens import EventId, LogId, TokenId, read_id
from api.graphql.plan.fields import Ref
from api.graphql.roots.lookups import pin_of, refs_by_token
from api.queries.authorizations import AUTHORIZATION
from api.queries.blocks import blocks_with_hashes
from api.queries.events import EVENT
from api.queries.sql.as_of import Pin
from schema.tables.values import position

MAX_IDS = 100


def resolve_all(context: Context, ids: Sequence[str]) -> list[Ref | None]:
    """Returns the object of each id; None for one that is malformed, of another network, or unknown.

    Raises BadUserInput for too many ids.
    """
    if len(ids) > MAX_IDS:
        raise BadUserInput(f"ids holds {len(ids)} ids: at most {MAX_IDS} are allowed.")
    refs: list[Ref | None] = [None] * len(ids)
    tokens: dict[int, tuple[TokenId, Pin]] = {}
    logs: dict[int, tuple[LogId, Pin]] = {}
    for place, text in enumerate(ids):
        id = read_id(text)
        pin = None if id is None else pin_of(context, id)
        if isinstance(id, TokenId) and pin is not None:
            tokens[place] = id, pin
        elif isinstance(id, LogId) and pin is not None:
            logs[place] = id, pin
    for place, ref in zip(tokens, refs_by_token(context, list(tokens.values())), strict=True):
        refs[place] = ref
    blocks = context.read.each(blocks_with_hashes, [(id.chain_id, id.block_hash) for id, _ in logs.values()])
    for (place, (log, pin)), block in zip(logs.items(), blocks, strict=True):
        if block is not None:
            relation = EVENT if isinstance(log, EventId) else AUTHORIZATION
            refs[place] = Ref(relation, position(block.number, log.offset), pin, required=False)
    return refs
