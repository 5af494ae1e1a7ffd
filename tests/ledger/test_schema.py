"""The schema stands once: what the migrations make is what the tables say, in either database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from kling_once.ledger.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kling_once.ledger.ledger import Ledger

RECIPE = "run `python -m tests.ledger.first_migration && ruff format kling_once/ledger/migrations`"


@pytest.fixture
def migrated(ledger: Ledger) -> Iterator[sa.Connection]:
    """A ledger that the migrations have made."""
    with ledger.database.read() as connection:
        yield connection


@pytest.fixture
def declared(request: pytest.FixtureRequest, migrated: sa.Connection) -> Iterator[sa.Connection]:
    """A database of the same kind, with the tables as they are declared."""
    url = "sqlite://"
    if migrated.dialect.name == "postgresql":
        server = request.getfixturevalue("postgresql")
        url = server.url(server.new_database())
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        metadata.create_all(connection)
        yield connection
    engine.dispose()


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
def test_the_migrations_make_the_table_as_it_is_declared(
    table: str, migrated: sa.Connection, declared: sa.Connection
) -> None:
    assert shape(migrated, table) == shape(declared, table), RECIPE


def test_alembic_finds_nothing_to_migrate(migrated: sa.Connection) -> None:
    context = MigrationContext.configure(migrated, opts={"compare_type": True})
    assert compare_metadata(context, metadata) == [], RECIPE
