"""Store log indexes that a position cannot hold"""

import sqlalchemy as sa
from alembic import op

from schema.tables.columns import Int64

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("event", "orphaned_event"):
        op.add_column(table, sa.Column("wide_log_index", Int64))
