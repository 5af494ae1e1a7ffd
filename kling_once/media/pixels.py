"""ComfyUI's float pixels to 8-bit RGB, without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnreadableMedia
from .container import check_stop

if TYPE_CHECKING:
    from .types import Stop

PICTURE_AXES = 3
BATCH_AXES = 4
_RGBA_CHANNELS = 4
_ROWS = 16


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
                f"One reference image is expected, a batch of {array.shape[0]} came.",
                hint="Pick one with the node Get Image from Batch.",
            )
        array = array[0]
    if array.ndim != PICTURE_AXES or array.shape[2] not in {1, 3, 4} or 0 in array.shape:
        raise UnreadableMedia(
            f"A picture has the shape (height, width, 1, 3 or 4 channels); this one has {array.shape}.",
            hint="Wire an IMAGE output.",
        )
    return array


def to_8_bit(picture: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 of an (H, W, C) picture in 0..1, clamped, rounded, transparency on white.

    uint8 input is taken as 0..255. NaN becomes 0.
    """
    if picture.dtype != np.uint8:
        picture = _rounded(picture)
    if picture.shape[2] == 1:
        return np.repeat(picture, 3, axis=2)
    return flatten_alpha(picture) if picture.shape[2] == _RGBA_CHANNELS else picture


def _rounded(picture: np.ndarray) -> np.ndarray:
    """Return uint8 of 0..1, a few rows at a time: they stay in the processor's cache."""
    pixels = np.empty(picture.shape, np.uint8)
    scratch = np.empty((min(_ROWS, len(picture)), *picture.shape[1:]), np.float32)
    for top in range(0, len(picture), _ROWS):
        rows = picture[top : top + _ROWS]
        scaled = np.multiply(rows, np.float32(255), out=scratch[: len(rows)])
        scaled += np.float32(0.5)
        np.clip(scaled, np.float32(0), np.float32(255), out=scaled)
        if np.isnan(scaled.max()):
            np.nan_to_num(scaled, copy=False)
        np.copyto(pixels[top : top + _ROWS], scaled, casting="unsafe")
    return pixels


def flatten_alpha(picture: np.ndarray, stop: Stop | None = None) -> np.ndarray:
    """Return (H, W, 3) uint8 of (H, W, 4) uint8 laid on white."""
    if picture[..., 3].min() == 255:  # noqa: PLR2004 - opaque
        return np.ascontiguousarray(picture[..., :3])
    flat = np.empty((*picture.shape[:2], 3), np.uint8)
    for top in range(0, len(picture), _ROWS):
        check_stop(stop)
        rows = picture[top : top + _ROWS]
        alpha, color = rows[..., 3:].astype(np.uint16), rows[..., :3].astype(np.uint16)
        flat[top : top + _ROWS] = (color * alpha + 255 * (255 - alpha) + 127) // 255
    return flat
