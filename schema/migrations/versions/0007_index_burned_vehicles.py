"""Index the few vehicles and synthetic devices that are burned"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().execute(sa.text("SELECT 1 FROM chain")).first() is None:
        return  # the indexer creates them with the first chain
    for name in ("vehicle", "synthetic_device"):
        op.execute(
            f"CREATE INDEX IF NOT EXISTS ix_{name}_version_burned_at_{name}_id ON {name}_version "
            f"(chain_id, burned_at, {name}_id, valid_from, valid_to) WHERE burned_at IS NOT NULL"
        )
