"""The ledger's tables. Moments are milliseconds since 1970 UTC; amounts are decimal texts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from ..api.motion_control import MOTION_SETTINGS

HEAD: Final = "0001"
"""The newest migration."""

COLUMN_TYPES: Final = {str: String, bool: Boolean, int: Integer}
"""By the type of a setting's default."""

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("job_key", String, primary_key=True),
    Column("service", String, nullable=False),
    Column("realm", String, nullable=False),
    Column("project", String, nullable=False),
    *(Column(item.name, COLUMN_TYPES[type(item.default)], nullable=False) for item in MOTION_SETTINGS),
    Column("image_name", String, nullable=False),
    Column("video_name", String, nullable=False),
    Column("image_digest", String, nullable=False),
    Column("video_digest", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("hidden_at", BigInteger),
    Index("jobs_by_date", "created_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True),
    Column("job_key", String, ForeignKey("jobs.job_key"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("realm", String, nullable=False),
    Column("origin", String, nullable=False),
    Column("profile", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("external_id", String, nullable=False),
    Column("own_external_id", Boolean, nullable=False),
    Column("prompt_id", String, nullable=False),
    Column("node_id", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seconds", String),
    Column("units_estimated", String),
    Column("units_reserved", String),
    Column("posts", Integer, nullable=False, default=0),
    Column("posted_at", BigInteger),
    Column("unknown_since", BigInteger),
    Column("submitted_at", BigInteger),
    Column("vendor_created_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("task_id", String),
    Column("task_status", String),
    Column("reason", String),
    Column("reason_code", Integer),
    Column("units_charged", String),
    Column("cash_charged", String),
    Column("currency", String),
    Column("video_url", String),
    Column("watermark_url", String),
    Column("location", String),
    Column("result_path", String),
    Column("result_size_bytes", BigInteger),
    Column("result_digest", String),
    Column("result_seconds", String),
    Column("owner", String),
    Column("lease_until", BigInteger),
    UniqueConstraint("job_key", "number"),
    UniqueConstraint("realm", "profile", "external_id"),
    Index("attempts_by_task", "task_id"),
    Index("attempts_by_date", "created_at"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("location", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("signed_until", BigInteger, nullable=False),
)

graphs = Table(
    "graphs",
    metadata,
    Column("signature", String, primary_key=True),
    Column("job_key", String, primary_key=True),
    Column("workflow", String, nullable=False),
    Column("ordered_at", BigInteger, nullable=False),
    Index("graphs_by_job", "job_key"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("digest", String, primary_key=True),
    Column("text", String, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
