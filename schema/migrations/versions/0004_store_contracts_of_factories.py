"""Store the contracts that logs of factories name"""

import sqlalchemy as sa
from alembic import op

from schema.tables.columns import Int64

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contract", sa.Column("factory_position", Int64(), nullable=True))
