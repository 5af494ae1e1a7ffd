"""Alembic's script folder: migrations only ever add."""
