"""Colour: FFmpeg's names for what a stream says of it, and the tables that map HDR and wide gamut to BT.709.

Names and numbers are those of libavutil/pixfmt.h and ITU-T H.273.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .types import ClipFacts

UNKNOWN = "unknown"

_PRIMARIES = (
    "unknown bt709 unknown unknown bt470m bt470bg smpte170m smpte240m film bt2020 smpte428 smpte431 smpte432"
)
_TRANSFERS = (
    "unknown bt709 unknown unknown gamma22 gamma28 smpte170m smpte240m linear unknown unknown iec61966-2-4 "
    "bt1361e iec61966-2-1 bt2020-10 bt2020-12 smpte2084 smpte428 arib-std-b67"
)
_SPACES = (
    "gbr bt709 unknown unknown fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c unknown unknown "
    "unknown ictcp"
)
PRIMARIES = dict(enumerate(_PRIMARIES.split())) | {22: "ebu3213"}
TRANSFERS = dict(enumerate(_TRANSFERS.split()))
SPACES = dict(enumerate(_SPACES.split()))
RANGES = {1: "tv", 2: "pc"}

_MATRICES = {
    "bt709": "bt709",
    "bt470bg": "bt601",
    "smpte170m": "bt601",
    "fcc": "fcc",
    "smpte240m": "smpte240m",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
_LINES_OF_BT709 = 720
_YUV_FORMATS = frozenset({"yuv420p", "yuvj420p"})
BT709, BT601 = 1, 6
"""The number of its primaries, of its transfer curve and of its matrix."""
LIMITED = 1
"""The range 16..235, "tv"."""

BILINEAR = 0x2
"""This and the following are flags of swscale (libswscale/swscale.h)."""
BICUBIC = 0x4
AREA = 0x20
FULL_CHROMA = 0x2000
"""SWS_FULL_CHR_H_INT: colour is interpolated for every pixel, not for every second one."""
FULL_CHROMA_INPUT = 0x4000
ACCURATE = 0x40000
"""SWS_ACCURATE_RND: rounded rather than cut off."""
ITU_709 = 1
"""SWS_CS_ITU709."""

_POINTS = 33  # along each axis of the table; the filter interpolates between them
_WHITE_NITS = 203.0  # diffuse white of HDR, which becomes SDR's white (ITU-R BT.2408)
_PEAK_NITS = 1000.0  # of HLG by definition, of PQ as it is commonly graded (ITU-R BT.2100)
_SDR_GAMMA = 2.4  # ITU-R BT.1886
D65 = (0.3127, 0.3290)
CHROMATICITIES = {  # red, green, blue (ITU-T H.273)
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
_LUMA_709 = np.array([0.2126, 0.7152, 0.0722])
_PQ = (2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32)  # SMPTE ST 2084
_HLG = (0.17883277, 0.28466892, 0.55991073)  # ARIB STD-B67


def matrix_of(facts: ClipFacts) -> str:
    """Return the matrix of a clip's pictures as FFmpeg's scale filter names it.

    Where neither stream nor container names one it is BT.709 from 720 lines up, else BT.601, as in players.
    """
    known = _MATRICES.get(facts.color_space)
    if known is not None:
        return known
    if facts.is_hdr or facts.color_primaries == "bt2020":
        return "bt2020"
    return "bt709" if facts.stored_height_px >= _LINES_OF_BT709 else "bt601"


def leaves_matrix_open(facts: ClipFacts) -> bool:
    """Tell whether players read a clip's colours otherwise than FFmpeg, which takes BT.601 at any size."""
    return facts.color_space == UNKNOWN and facts.pixel_format in _YUV_FORMATS and matrix_of(facts) != "bt601"


def tag_open_colors(context: Any, facts: ClipFacts) -> None:
    """Name what a clip leaves open of its colours in the codec context of a copy: BT.709 or BT.601."""
    number = {"bt709": BT709, "bt601": BT601}.get(matrix_of(facts))
    if number is None:
        return
    tags = (
        ("color_primaries", facts.color_primaries),
        ("color_trc", facts.color_transfer),
        ("colorspace", facts.color_space),
    )
    for name, found in tags:
        if found == UNKNOWN:
            setattr(context, name, number)


def is_wide(primaries: str) -> bool:
    """Tell whether primaries need a table even where the transfer curve is not an HDR one."""
    return primaries in {"bt2020", "smpte432"}


@lru_cache(maxsize=4)
def cube(primaries: str, transfer: str) -> str:
    """Return the lookup table to BT.709 as text of the .cube format, red running fastest.

    Args:
        primaries: FFmpeg's name, such as "bt2020".
        transfer: FFmpeg's name. "smpte2084" (PQ) and "arib-std-b67" (HLG) are tone mapped from 1000 to 203
            nits with the curve of ITU-R BT.2390; every other one counts as BT.1886.
    """
    steps = np.linspace(0, 1, _POINTS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    table = to_bt709(np.stack([red, green, blue], axis=-1).reshape(-1, 3), primaries, transfer)
    lines = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in table)
    return f"LUT_3D_SIZE {_POINTS}\n{lines}\n"


def to_bt709(signal: np.ndarray, primaries: str, transfer: str) -> np.ndarray:
    """Return (N, 3) BT.709 signal in 0..1 for (N, 3) RGB signal in 0..1; greys stay grey."""
    light = _light(signal, transfer)
    corners = CHROMATICITIES.get(primaries, CHROMATICITIES["bt709"])
    matrix = np.linalg.inv(to_xyz(CHROMATICITIES["bt709"], D65)) @ to_xyz(corners, D65)
    light = _inside(light @ matrix.T)
    peak = np.maximum(light.max(axis=1, keepdims=True), 1e-9)
    if transfer in {"smpte2084", "arib-std-b67"}:
        light = light * (_rolled_off(peak) / peak)
    return np.clip(light, 0, 1) ** (1 / _SDR_GAMMA)


def _light(signal: np.ndarray, transfer: str) -> np.ndarray:
    """Return linear light as displayed, 1 for diffuse white."""
    if transfer == "smpte2084":
        return _pq_to_nits(signal) / _WHITE_NITS
    if transfer == "arib-std-b67":
        a, b, c = _HLG
        scene = np.where(signal <= 1 / 2, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        luma = (scene @ _LUMA_2020)[:, None]
        return _PEAK_NITS * luma**0.2 * scene / _WHITE_NITS
    return signal**_SDR_GAMMA


def _pq_to_nits(signal: np.ndarray) -> np.ndarray:
    m1, m2, c1, c2, c3 = _PQ
    root = signal ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _nits_to_pq(nits: np.ndarray) -> np.ndarray:
    m1, m2, c1, c2, c3 = _PQ
    root = (np.maximum(nits, 0) / 10_000) ** m1
    return ((c1 + c2 * root) / (1 + c3 * root)) ** m2


def _rolled_off(light: np.ndarray) -> np.ndarray:
    """Return light compressed to at most 1: only highlights change (ITU-R BT.2390, 5.4.1)."""
    peak = _nits_to_pq(np.array(_PEAK_NITS))
    value = np.minimum(_nits_to_pq(light * _WHITE_NITS) / peak, 1)
    most = _nits_to_pq(np.array(_WHITE_NITS)) / peak
    knee = 1.5 * most - 0.5
    t = np.clip((value - knee) / (1 - knee), 0, 1)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee
    bent += (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * most
    return _pq_to_nits(np.where(value < knee, value, bent) * peak) / _WHITE_NITS


def _inside(light: np.ndarray) -> np.ndarray:
    """Return light without negative parts: colours outside BT.709 move towards the grey of equal luma."""
    luma = np.maximum(light @ _LUMA_709, 0)[:, None]
    lowest = light.min(axis=1, keepdims=True)
    keep = np.where(lowest < 0, luma / np.maximum(luma - lowest, 1e-9), 1)
    return luma + (light - luma) * keep


def to_xyz(corners: Any, white: tuple[float, float]) -> np.ndarray:
    """Return the matrix from linear RGB to CIE XYZ.

    Args:
        corners: The x and y of red, green and blue.
        white: The x and y of equal parts of them.
    """
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in corners]).T
    x, y = white
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
