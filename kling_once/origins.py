"""Where Kling's API answers. Source: Kling's API pages (March 2026)."""

from __future__ import annotations

from typing import Final

GLOBAL_ORIGIN: Final = "https://api-singapore.klingai.com"
CHINA_ORIGIN: Final = "https://api-beijing.klingai.com"
