"""ComfyUI's float pixels to 8-bit RGB, without importing torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnreadableMedia

PICTURE_AXES = 3
BATCH_AXES = 4


def as_array(values: Any) -> np.ndarray:
    """Return a tensor or array as numpy: a view where possible, float16 and bfloat16 as float32."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) in {"torch.bfloat16", "torch.float16"}:
            values = values.float()
        values = values.numpy()
    return np.asarray(values)


def frame_array(values: Any) -> np.ndarray:
    """Return one picture as (H, W, C); a batch must hold exactly one. Raises `UnreadableMedia`."""
    array = as_array(values)
    if array.ndim == BATCH_AXES:
        if array.shape[0] != 1:
            raise UnreadableMedia(
                f"One reference picture is expected, a batch of {array.shape[0]} came.",
                hint="Pick one with the node Get Image from Batch.",
            )
        array = array[0]
    if array.ndim != PICTURE_AXES or array.shape[2] not in {1, 3, 4} or 0 in array.shape:
        raise UnreadableMedia(
            f"A picture has the shape (height, width, 1, 3 or 4 channels); this one has {array.shape}.",
            hint="Wire an IMAGE output.",
        )
    return array


def to_8_bit(picture: np.ndarray, scratch: np.ndarray | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 of an (H, W, C) picture in 0..1, clamped, rounded, transparency on white.

    `scratch`, a float32 array of the picture's shape, saves an allocation per frame. uint8 input is
    taken as 0..255. NaN becomes 0.
    """
    if picture.dtype != np.uint8:
        scaled = np.multiply(picture, np.float32(255), out=scratch, dtype=np.float32)
        scaled += np.float32(0.5)
        np.fmax(scaled, np.float32(0), out=scaled)  # unlike maximum, fmax turns NaN into 0
        np.fmin(scaled, np.float32(255), out=scaled)
        picture = scaled.astype(np.uint8)
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    return flatten_alpha(picture) if picture.shape[2] == BATCH_AXES else picture


def flatten_alpha(picture: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 of (H, W, 4) uint8 laid on white."""
    alpha = picture[..., 3:].astype(np.uint16)
    if alpha.min() == 255:  # noqa: PLR2004 - opaque
        return np.ascontiguousarray(picture[..., :3])
    color = picture[..., :3].astype(np.uint16)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
