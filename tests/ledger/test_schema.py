"""The schema stands once: what the migrations make is what the tables say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kling_once.ledger.database import Database
from kling_once.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPE = "run `python -m tests.ledger.first_migration && ruff format kling_once/ledger/migrations`"


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[sa.Connection]:
    """A ledger that the migrations have made."""
    database = Database(tmp_path)
    with database.read() as connection:
        yield connection
    database.close()


def shape(connection: sa.Connection, table: str) -> dict[str, Any]:
    """Return everything that the database knows of a table."""
    found = sa.inspect(connection)
    return {
        "columns": [column | {"type": str(column["type"])} for column in found.get_columns(table)],
        "primary key": found.get_pk_constraint(table),
        "foreign keys": found.get_foreign_keys(table),
        "unique": sorted(found.get_unique_constraints(table), key=str),
        "indexes": sorted(found.get_indexes(table), key=str),
        "checks": found.get_check_constraints(table),
    }


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_the_migrations_make_the_table_as_it_is_declared(table: str, migrated: sa.Connection) -> None:
    with sa.create_engine("sqlite://").connect() as declared:
        metadata.create_all(declared)
        assert shape(migrated, table) == shape(declared, table), RECIPE


def test_alembic_finds_nothing_to_migrate(migrated: sa.Connection) -> None:
    context = MigrationContext.configure(migrated, opts={"compare_type": True})
    assert compare_metadata(context, metadata) == [], RECIPE
