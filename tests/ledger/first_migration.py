"""Make the first migration again from the tables, until the first release; afterwards migrations only add.

Run in the root: `python -m tests.ledger.first_migration && ruff format kling_once/ledger/migrations`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext

from kling_once.ledger import tables

if TYPE_CHECKING:
    from alembic.operations.ops import UpgradeOps

PATH = Path(tables.__file__).parent / "migrations" / "versions" / "v0001_first.py"
HEAD = '''"""The first ledger."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
'''


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Return a column type of ours as the plain type that lies beneath it."""
    if kind == "type" and isinstance(item, sa.TypeDecorator):
        return f"sa.{type(item.impl_instance).__name__}()"
    return False


def migration() -> str:
    """Return the text of the migration that makes every table in an empty database."""
    with sa.create_engine("sqlite://").connect() as connection:
        context = MigrationContext.configure(connection, opts={"target_metadata": tables.metadata})
        upgrade: UpgradeOps | None = produce_migrations(context, tables.metadata).upgrade_ops
    assert upgrade is not None
    body = render_python_code(upgrade, render_item=render_item)
    lines = [line for line in body.splitlines() if not line.strip().startswith("#")]
    return HEAD.format(revision=tables.HEAD) + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(migration(), encoding="utf-8")
