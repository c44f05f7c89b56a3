"""${message}.

Revision: ${up_revision}
Revises: ${down_revision | comma,n}
Created: ${create_date}

The whole upgrade is one transaction; each statement waits at most 4 s for a lock. Expand first, contract in a later
release, so that old and new code both run on the schema between. Only CREATE INDEX CONCURRENTLY stands outside, in
`with op.get_context().autocommit_block():`, in a migration of its own, with `if_not_exists=True` so that it can be
repeated.
"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
