"""${message}"""

import sqlalchemy as sa
from alembic import op

from schema.columns import CleanText, KeyText, Uint256

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
