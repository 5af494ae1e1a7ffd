"""The first ledger: jobs, attempts, uploads, graphs, workflows, notes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("job_key", sa.String, primary_key=True),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("realm", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("character_orientation", sa.String, nullable=False),
        sa.Column("keep_original_sound", sa.Boolean, nullable=False),
        sa.Column("prompt", sa.String, nullable=False),
        sa.Column("element_id", sa.String, nullable=False),
        sa.Column("watermark", sa.Boolean, nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("image_name", sa.String, nullable=False),
        sa.Column("video_name", sa.String, nullable=False),
        sa.Column("image_digest", sa.String, nullable=False),
        sa.Column("video_digest", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("hidden_at", sa.BigInteger),
    )
    op.create_index("jobs_by_date", "jobs", ["created_at"])
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Integer, primary_key=True),
        sa.Column("job_key", sa.String, sa.ForeignKey("jobs.job_key"), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("realm", sa.String, nullable=False),
        sa.Column("origin", sa.String, nullable=False),
        sa.Column("profile", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("external_id", sa.String, nullable=False),
        sa.Column("own_external_id", sa.Boolean, nullable=False),
        sa.Column("prompt_id", sa.String, nullable=False),
        sa.Column("node_id", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.String),
        sa.Column("units_estimated", sa.String),
        sa.Column("units_reserved", sa.String),
        sa.Column("posts", sa.Integer, nullable=False),
        sa.Column("posted_at", sa.BigInteger),
        sa.Column("unknown_since", sa.BigInteger),
        sa.Column("submitted_at", sa.BigInteger),
        sa.Column("vendor_created_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("task_id", sa.String),
        sa.Column("task_status", sa.String),
        sa.Column("reason", sa.String),
        sa.Column("reason_code", sa.Integer),
        sa.Column("units_charged", sa.String),
        sa.Column("cash_charged", sa.String),
        sa.Column("currency", sa.String),
        sa.Column("video_url", sa.String),
        sa.Column("watermark_url", sa.String),
        sa.Column("location", sa.String),
        sa.Column("result_path", sa.String),
        sa.Column("result_size_bytes", sa.BigInteger),
        sa.Column("result_digest", sa.String),
        sa.Column("result_seconds", sa.String),
        sa.Column("owner", sa.String),
        sa.Column("lease_until", sa.BigInteger),
        sa.UniqueConstraint("job_key", "number"),
        sa.UniqueConstraint("realm", "profile", "external_id"),
    )
    op.create_index("attempts_by_task", "attempts", ["task_id"])
    op.create_index("attempts_by_date", "attempts", ["created_at"])
    op.create_table(
        "uploads",
        sa.Column("location", sa.String, primary_key=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("signed_until", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "graphs",
        sa.Column("signature", sa.String, primary_key=True),
        sa.Column("job_key", sa.String, primary_key=True),
        sa.Column("workflow", sa.String, nullable=False),
        sa.Column("ordered_at", sa.BigInteger, nullable=False),
    )
    op.create_index("graphs_by_job", "graphs", ["job_key"])
    op.create_table(
        "workflows",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("text", sa.String, nullable=False),
    )
    op.create_table(
        "notes",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
    )
