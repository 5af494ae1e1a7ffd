"""libswscale's flags by their numbers (libswscale/swscale.h), since PyAV names only some of them."""

from __future__ import annotations

BILINEAR = 0x2
BICUBIC = 0x4
AREA = 0x20
FULL_CHROMA = 0x2000
"""SWS_FULL_CHR_H_INT: colour is interpolated for every pixel, not for every second one."""
FULL_CHROMA_INPUT = 0x4000
ACCURATE = 0x40000
"""SWS_ACCURATE_RND: rounded rather than cut off."""
ITU_709 = 1
"""SWS_CS_ITU709."""
