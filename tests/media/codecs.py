"""FFmpeg's options for the codecs of most test clips."""

from __future__ import annotations

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-c:a", "aac")


def x265(*params: str) -> tuple[str, ...]:
    """Return the options of HEVC in FFmpeg's words, with x265's own parameters besides.

    It has no threads of its own, since it gives those a tenth of the processor: beside a few busy processes
    a clip takes minutes.
    """
    return (
        *("-c:v", "libx265", "-preset", "ultrafast"),
        *("-x265-params", ":".join(("log-level=none", "pools=none", *params))),
    )


X265 = (*x265(), "-c:a", "aac")
