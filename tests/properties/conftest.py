"""How long hypothesis may look, and what every property needs."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "kling-once",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("kling-once")
