"""Store the items of logs that are several facts"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("event", "orphaned_event"):
        op.add_column(table, sa.Column("item", sa.SmallInteger(), nullable=False, server_default="0"))
