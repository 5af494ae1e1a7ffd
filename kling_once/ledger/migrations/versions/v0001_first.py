"""The first ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "graphs",
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("ordered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("signature", "job_key"),
    )
    op.create_index("graphs_by_job", "graphs", ["job_key"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("service", sa.String(), nullable=False),
        sa.Column("realm", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("element_name", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("mode", sa.String(), nullable=False),
        sa.Column("character_orientation", sa.String(), nullable=False),
        sa.Column("keep_original_sound", sa.Boolean(), nullable=False),
        sa.Column("take", sa.Integer(), nullable=False),
        sa.Column("element_id", sa.String(), nullable=False),
        sa.Column("watermark", sa.Boolean(), nullable=False),
        sa.Column("image_name", sa.String(), nullable=False),
        sa.Column("video_name", sa.String(), nullable=False),
        sa.Column("image_digest", sa.String(), nullable=False),
        sa.Column("video_digest", sa.String(), nullable=False),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("hidden_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job_key"),
    )
    op.create_index("jobs_by_date", "jobs", ["created_at"], unique=False)
    op.create_table(
        "notes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "rooms",
        sa.Column("room", sa.String(), nullable=False),
        sa.Column("believed", sa.Integer(), nullable=False),
        sa.Column("refused_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("room"),
    )
    op.create_table(
        "uploads",
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("location"),
    )
    op.create_table(
        "workflows",
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("job_key", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("realm", sa.String(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("generation", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("own_external_id", sa.Boolean(), nullable=False),
        sa.Column("prompt_id", sa.String(), nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.String(), nullable=True),
        sa.Column("units_estimated", sa.String(), nullable=True),
        sa.Column("units_reserved", sa.String(), nullable=True),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("posted_at", sa.BigInteger(), nullable=True),
        sa.Column("unknown_since", sa.BigInteger(), nullable=True),
        sa.Column("submitted_at", sa.BigInteger(), nullable=True),
        sa.Column("vendor_created_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("task_id", sa.String(), nullable=True),
        sa.Column("task_status", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("reason_code", sa.Integer(), nullable=True),
        sa.Column("units_charged", sa.String(), nullable=True),
        sa.Column("cash_charged", sa.String(), nullable=True),
        sa.Column("currency", sa.String(), nullable=True),
        sa.Column("unread_charge", sa.String(), nullable=True),
        sa.Column("video_url", sa.String(), nullable=True),
        sa.Column("watermark_url", sa.String(), nullable=True),
        sa.Column("location", sa.String(), nullable=True),
        sa.Column("made_element_id", sa.String(), nullable=True),
        sa.Column("result_path", sa.String(), nullable=True),
        sa.Column("result_size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("result_digest", sa.String(), nullable=True),
        sa.Column("result_seconds", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_key"],
            ["jobs.job_key"],
        ),
        sa.PrimaryKeyConstraint("attempt_id"),
        sa.UniqueConstraint("job_key", "number"),
        sa.UniqueConstraint("realm", "profile", "external_id"),
    )
    op.create_index("attempts_by_date", "attempts", ["created_at"], unique=False)
    op.create_index("attempts_by_task", "attempts", ["task_id"], unique=False)
    op.create_table(
        "slots",
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("room", sa.String(), nullable=False),
        sa.Column("taken_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attempt_id"],
            ["attempts.attempt_id"],
        ),
        sa.PrimaryKeyConstraint("place"),
        sa.UniqueConstraint("attempt_id"),
    )
    op.create_index("slots_by_room", "slots", ["room"], unique=False)
