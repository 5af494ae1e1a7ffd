"""How long a signed link lives."""

from __future__ import annotations

import math
from datetime import timedelta

from ..errors import HostingError

MARGIN = timedelta(minutes=1)
"""Added to what was asked: clocks differ, and the request takes its time."""


def checked_lifetime(lifetime_seconds: float, longest: timedelta) -> timedelta:
    """Return how long to sign for: whole seconds, a minute more than asked, never above `longest`.

    Raises:
        HostingError: not a positive number of seconds, or above `longest`.
    """
    if not math.isfinite(lifetime_seconds) or lifetime_seconds <= 0:
        raise HostingError(f"A link cannot live for {lifetime_seconds} seconds.")
    if lifetime_seconds > longest.total_seconds():
        raise HostingError(
            f"A link that lives {lifetime_seconds / 86400:.1f} days was asked for; this host gives at most"
            f" {longest.days} days.",
            hint="Wait for a shorter time; the job can be collected later all the same.",
        )
    return min(timedelta(seconds=math.ceil(lifetime_seconds)) + MARGIN, longest)
