"""The colours of a still: an ICC profile, or the numbers that stand for one, become sRGB."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageCms

from .color import CHROMATICITIES, D65, PRIMARIES, TRANSFERS, to_bt709, to_xyz

if TYPE_CHECKING:
    from collections.abc import Callable

_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK", b"Lab ": "LAB"}
"""Of the pixels that a profile describes, by the colour space in its header (ICC.1:2022, 7.2.6)."""
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F"})
_MOST_OFF = 2  # of 255: profiles that are called sRGB differ by no more
_MOST_APART = 3  # of 255
_USUAL_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05  # relative, as libpng's: a file that says 1/2.2 and nothing else means sRGB
_GAMMAS = {"gamma22": 2.2, "gamma28": 2.8, "linear": 1.0}
_HDR = frozenset({"smpte2084", "arib-std-b67"})
_DISPLAY_GAMMA = 2.4  # of `to_bt709`
_LINEAR_TO = 0.0031308  # of light: sRGB's curve begins with a line (IEC 61966-2-1)
_LONGEST_NAME = 60
_HEADER_BYTES, _TAG = 128, struct.Struct(">4sII")
_COLOR_TAGS = frozenset(
    b"rXYZ gXYZ bXYZ rTRC gTRC bTRC kTRC wtpt bkpt chad chrm cicp lumi meas view tech vued desc cprt".split()
)
"""ICC.1:2022, table 48: colours, and the profile's own name and rights."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How the pixels of a still become sRGB, and the sentence that says so."""

    sentence: str
    mode: str
    """The mode that `pixels` takes."""
    pixels: Callable[[Image.Image], Image.Image]

    def applied(self, image: Image.Image) -> Image.Image:
        """Return an image without transparency as sRGB, mode RGB."""
        return self.pixels(image if image.mode == self.mode else image.convert(self.mode))

    @property
    def is_coarse(self) -> bool:
        """Tell whether neighbours among 256 levels end up so far apart that a deeper picture needs more."""
        if self.mode not in {"RGB", "L"}:
            return False
        levels = np.asarray(self.applied(Image.fromarray(np.arange(256, dtype=np.uint8)[None]))).astype(int)
        return int(np.abs(np.diff(levels, axis=1)).max()) > _MOST_APART

    def applied_deep(self, pixels: np.ndarray) -> np.ndarray:
        """Return (H, W, 3) uint8 sRGB of (H, W, 3) uint16; what lies between 256 levels is interpolated."""
        values = pixels.astype(np.float32) / (65535 / 255)
        low = np.floor(values)
        part = values - low
        total = np.zeros(pixels.shape, np.float32)
        for corner in product((0, 1), repeat=pixels.shape[2]):
            weight = np.where(corner, part, 1 - part).prod(axis=2, keepdims=True)
            near = np.minimum(low + corner, 255).astype(np.uint8)
            total += weight * np.asarray(self.applied(Image.fromarray(near)))
        return (total + 0.5).astype(np.uint8)


def conversion_of(image: Image.Image) -> Conversion | None:
    """Return how an opened still becomes sRGB; None where it is sRGB already or says nothing.

    A PNG's tags are read in the order of the PNG specification: cICP, iCCP, sRGB, gAMA with cHRM.
    """
    info = image.info
    if (numbers := info.get("cicp")) is not None:
        return _of_numbers(*numbers)
    if profile := info.get("icc_profile"):
        return _of_profile(profile, image.mode)
    if image.mode == "LAB":
        return _of_lab(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    gamma = info.get("gamma")
    if image.format != "PNG" or "srgb" in info or not gamma:
        return None
    corners, white = CHROMATICITIES["bt709"], D65
    if numbers := info.get("chromaticity"):
        x, y, *rest = numbers
        white, corners = (x, y), tuple(zip(rest[::2], rest[1::2], strict=True))
    if abs(gamma / _USUAL_GAMMA - 1) <= _GAMMA_TOLERANCE and np.allclose(
        corners, CHROMATICITIES["bt709"], atol=0.01
    ):
        return None
    levels = (np.arange(256) / 255) ** (1 / gamma)
    return _of_curve(f"gamma {gamma:.3g}", levels, _to_srgb_matrix(corners, white))


def has_private_tags(profile: bytes) -> bool:
    """Tell whether an ICC profile holds more than colours, such as the serial number of a monitor."""
    try:
        (count,) = struct.unpack_from(">I", profile, _HEADER_BYTES)
        begin = _HEADER_BYTES + 4
        tags = list(_TAG.iter_unpack(profile[begin : begin + _TAG.size * count]))
    except struct.error:
        return True
    if any(name not in _COLOR_TAGS for name, _, _ in tags):
        return True
    used = begin + _TAG.size * count
    for _, start, size in sorted(tags, key=lambda tag: tag[1]):
        if profile[used:start].strip(b"\0"):
            return True
        used = max(used, start + size)
    return bool(profile[used:].strip(b"\0"))


def _of_profile(data: bytes, mode: str) -> Conversion | None:
    taken = _MODES.get(data[16:20], "")
    is_grey = mode in _GREY_MODES
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        name = "".join(char for char in ImageCms.getProfileDescription(profile).strip() if char.isprintable())
        if taken in {"CMYK", "LAB"} and mode != taken:
            return None
        if (mode in {"CMYK", "LAB"} and mode != taken) or (taken == "L" and not is_grey):
            return None
        if taken == "LAB":
            return _of_lab(profile)
        transform = _transform(profile, taken)
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError, TypeError):
        sentence = "Its colour profile cannot be read; its colours are taken as sRGB."
        return Conversion(sentence, "RGB", lambda pixels: pixels)
    if taken != "CMYK" and _changes_nothing(transform, taken):
        return None
    sentence = f"Converted from the colour profile {name[:_LONGEST_NAME] or '(without a name)'} to sRGB."
    return Conversion(sentence, taken, transform)


def _of_lab(profile: Any) -> Conversion:
    return Conversion("Converted from CIE Lab to sRGB.", "LAB", _transform(profile, "LAB"))


def _transform(profile: Any, mode: str) -> Callable[[Image.Image], Image.Image]:
    target = ImageCms.createProfile("sRGB")
    # LittleCMS makes a grey curve of too few points, which is 10 of 255 off in the darks of a linear one
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    transform = ImageCms.buildTransform(profile, target, mode, "RGB", ImageCms.Intent.PERCEPTUAL, flags)

    def converted(pixels: Image.Image) -> Image.Image:
        made = ImageCms.applyTransform(pixels, transform)
        assert made is not None  # noqa: S101 - for the type checker: only in place it is None
        return made

    return converted


def _changes_nothing(transform: Callable[[Image.Image], Image.Image], mode: str) -> bool:
    steps = np.linspace(0, 255, 18).astype(np.uint8)
    if mode == "L":
        steps = np.arange(256, dtype=np.uint8)
        before = np.stack([steps] * 3, axis=-1)[None]
        after = transform(Image.fromarray(steps[None]))
    else:
        before = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        after = transform(Image.fromarray(before))
    return int(np.abs(np.asarray(after).astype(int) - before).max()) <= _MOST_OFF


def _of_numbers(primaries_number: int, transfer_number: int) -> Conversion | None:
    primaries = PRIMARIES.get(primaries_number, "")
    transfer = TRANSFERS.get(transfer_number, "")
    if primaries not in CHROMATICITIES:
        primaries = "bt709"
    if transfer in _HDR:
        return Conversion(
            f"Tone mapped from HDR ({transfer}, {primaries}) to sRGB.",
            "RGB",
            lambda pixels: _encoded(
                to_bt709(np.asarray(pixels).reshape(-1, 3) / 255, primaries, transfer) ** _DISPLAY_GAMMA,
                pixels.size,
            ),
        )
    gamma = _GAMMAS.get(transfer)
    if primaries == "bt709" and gamma is None:
        return None
    signal = np.arange(256) / 255
    levels = _srgb_light(signal) if gamma is None else signal**gamma
    name = {"smpte432": "Display P3", "bt2020": "BT.2020"}.get(primaries, f"{primaries}, {transfer}")
    return _of_curve(name, levels, _to_srgb_matrix(CHROMATICITIES[primaries], D65))


def _of_curve(name: str, levels: np.ndarray, matrix: np.ndarray) -> Conversion:
    levels, matrix = levels.astype(np.float32), matrix.T.astype(np.float32)

    def converted(pixels: Image.Image) -> Image.Image:
        return _encoded(levels[np.asarray(pixels)].reshape(-1, 3) @ matrix, pixels.size)

    return Conversion(f"Converted from {name} to sRGB.", "RGB", converted)


def _encoded(light: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return linear (N, 3) light as an sRGB image (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    signal = np.where(light <= _LINEAR_TO, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    pixels = (signal * 255 + 0.5).astype(np.uint8).reshape(size[1], size[0], 3)
    return Image.fromarray(pixels)


def _srgb_light(signal: np.ndarray) -> np.ndarray:
    return np.where(signal <= 12.92 * _LINEAR_TO, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _to_srgb_matrix(corners: Any, white: tuple[float, float]) -> np.ndarray:
    """Return the matrix from linear light of these primaries to sRGB's, adapted to its white (Bradford)."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    source, target = to_xyz(corners, white), to_xyz(CHROMATICITIES["bt709"], D65)
    gains = (bradford @ target.sum(axis=1)) / (bradford @ source.sum(axis=1))
    adapted = np.linalg.inv(bradford) @ np.diag(gains) @ bradford @ source
    return np.linalg.inv(target) @ adapted
