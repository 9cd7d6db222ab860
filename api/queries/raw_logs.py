"""The bytes of logs: of the events that a log is, the first one alone has them."""

from sqlalchemy import ColumnElement, FromClause, case, select


def raw_columns(events: FromClause) -> dict[str, ColumnElement[bytes]]:
    """Returns the columns `topics` and `data` of the logs of events."""
    return {name: _of_log(events, name) for name in ("topics", "data")}


def _of_log(events: FromClause, name: str) -> ColumnElement[bytes]:
    first = events.alias("first_item")
    same = [first.c.chain_id == events.c.chain_id, first.c.position == events.c.position - events.c.item]
    if "reorg_no" in events.c:
        same.append(first.c.reorg_no == events.c.reorg_no)
    value = select(first.c[name]).where(*same).correlate(events).scalar_subquery()
    return case((events.c.item == 0, events.c[name]), else_=value)
