"""Stills become sRGB: within 3/255 of what a colour-managed reader shows."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from kling_once.media.conform_picture import conform_picture
from kling_once.media.digest import picture_digest
from kling_once.media.picture import rgb_pixels

if TYPE_CHECKING:
    from kling_once.media.types import PictureBounds

WITHIN = 3
D65 = (0.3127, 0.3290)
D50 = np.array([0.9642, 1, 0.8249])
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))


def xyz(corners: Any, white: tuple[float, float] = D65) -> np.ndarray:
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in corners]).T
    return columns * np.linalg.solve(columns, [white[0] / white[1], 1, (1 - sum(white)) / white[1]])


def srgb_of_light(light: np.ndarray) -> np.ndarray:
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def light_of_srgb(pixels: np.ndarray) -> np.ndarray:
    signal = pixels / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def shown(light: np.ndarray, corners: Any) -> np.ndarray:
    """Return the sRGB values of linear light of other primaries, by the definition of both."""
    return srgb_of_light(light @ (np.linalg.inv(xyz(SRGB)) @ xyz(corners)).T)


def fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def to_d50() -> np.ndarray:
    """Return Bradford's matrix from D65 to the white of profiles."""
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.linalg.inv(bradford) @ np.diag((bradford @ D50) / (bradford @ white)) @ bradford


def icc(tags: dict[bytes, bytes], kind: bytes, space: bytes, connection: bytes) -> bytes:
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    version = 0x04300000 if kind == b"mntr" else 0x02400000
    head = struct.pack(">I4sI4s4s4s", place + len(body), b"", version, kind, space, connection)
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + fixed(*D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def profile(corners: Any, gamma: float | None) -> bytes:
    """Return an ICC profile by its definition (ICC.1:2022): three primaries, one curve; None is sRGB's."""

    columns = (to_d50() @ xyz(corners)).T
    if gamma is None:
        curve = b"para\0\0\0\0\0\3\0\0" + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    else:
        curve = b"para\0\0\0\0\0\0\0\0" + fixed(gamma)
    text = "Made for a test".encode("utf-16-be")
    named = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    tags = {b"desc": named, b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + fixed(*column)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc(tags, b"mntr", b"RGB ", b"XYZ ")


def grey_profile(gamma: float) -> bytes:
    curve = b"para\0\0\0\0\0\0\0\0" + fixed(gamma)
    text = "Grey".encode("utf-16-be")
    named = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    return icc(
        {b"desc": named, b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50), b"kTRC": curve}, b"mntr", b"GRAY", b"XYZ "
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    return png[:33] + b"".join(chunks) + png[33:]  # after IHDR


def saved(pixels: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, form, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def colors() -> np.ndarray:
    """400 x 400 px of 1,600 colours."""
    values = np.random.default_rng(7).integers(0, 256, (40, 40, 3), np.uint8)
    return values.repeat(10, axis=0).repeat(10, axis=1)


LOSSLESS: dict[str, dict[str, Any]] = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("form", LOSSLESS)
@pytest.mark.parametrize(
    ("corners", "gamma"), [(DISPLAY_P3, None), (ADOBE, 2.2), (SRGB, 1.8)], ids=["p3", "adobe", "gamma"]
)
def test_a_profile_is_followed(
    form: str, corners: Any, gamma: float | None, colors: np.ndarray, picture_bounds: PictureBounds
) -> None:
    data = saved(colors, form, icc_profile=profile(corners, gamma), **LOSSLESS[form])
    light = light_of_srgb(colors) if gamma is None else (colors / 255) ** gamma
    right = shown(light, corners)
    assert np.abs(rgb_pixels(data) - right).max() <= WITHIN
    made = conform_picture(data, picture_bounds)
    sent = Image.open(io.BytesIO(made.data))
    assert "icc_profile" not in sent.info
    assert "Converted from the colour profile Made for a test to sRGB." in made.report
    if form == "PNG":
        assert np.abs(np.asarray(sent) - right).max() <= WITHIN


def test_a_photo_of_a_phone_is_followed_and_turned(picture_bounds: PictureBounds) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    color = np.full((400, 500, 3), (220, 90, 60), np.uint8)
    data = saved(color, "JPEG", icc_profile=profile(DISPLAY_P3, None), exif=exif, quality=98)
    made = conform_picture(data, picture_bounds)
    sent = np.asarray(Image.open(io.BytesIO(made.data)))
    assert sent.shape == (500, 400, 3)
    assert np.abs(sent - shown(light_of_srgb(color[:1, :1]), DISPLAY_P3)).max() <= WITHIN


def test_a_profile_and_transparency(colors: np.ndarray) -> None:
    alpha = np.full((400, 400, 1), 255, np.uint8)
    alpha[:200] = 0
    data = saved(np.dstack([colors, alpha]), icc_profile=profile(DISPLAY_P3, None))
    found = rgb_pixels(data)
    assert (found[:200] == 255).all()
    assert np.abs(found[200:] - shown(light_of_srgb(colors[200:]), DISPLAY_P3)).max() <= WITHIN


@pytest.mark.parametrize("gamma", [1.0, 0.7])
def test_the_gamma_of_a_png_is_followed(gamma: float, colors: np.ndarray) -> None:
    data = with_chunks(saved(colors), chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000))))
    assert np.abs(rgb_pixels(data) - srgb_of_light((colors / 255) ** (1 / gamma))).max() <= WITHIN


def test_a_gamma_of_1_to_2_2_and_a_tag_of_srgb_change_nothing(colors: np.ndarray) -> None:
    usual = chunk(b"gAMA", struct.pack(">I", 45_455))
    tagged = chunk(b"sRGB", b"\0") + chunk(b"gAMA", struct.pack(">I", 100_000))
    for extra in (usual, tagged):
        assert (rgb_pixels(with_chunks(saved(colors), extra)) == colors).all()


def test_primaries_of_a_png_are_followed(colors: np.ndarray) -> None:
    numbers = [round(number * 100_000) for pair in (D65, *DISPLAY_P3) for number in pair]
    extra = chunk(b"cHRM", struct.pack(">8I", *numbers)), chunk(b"gAMA", struct.pack(">I", 45_455))
    found = rgb_pixels(with_chunks(saved(colors), *extra))
    assert np.abs(found - shown((colors / 255) ** 2.2, DISPLAY_P3)).max() <= WITHIN


def test_the_numbers_of_a_png_come_before_its_profile(colors: np.ndarray) -> None:
    plain = saved(colors, icc_profile=profile(SRGB, 1.0))
    data = with_chunks(plain, chunk(b"cICP", bytes([12, 13, 0, 1])))
    assert np.abs(rgb_pixels(data) - shown(light_of_srgb(colors), DISPLAY_P3)).max() <= WITHIN


def test_a_profile_of_srgb_changes_nothing(colors: np.ndarray, picture_bounds: PictureBounds) -> None:
    for same in (profile(SRGB, None), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        data = saved(colors, icc_profile=same)
        assert picture_digest(data) == picture_digest(colors)
        assert conform_picture(data, picture_bounds).data == data


def test_the_same_numbers_of_another_profile_are_another_picture(colors: np.ndarray) -> None:
    p3 = saved(colors, icc_profile=profile(DISPLAY_P3, None))
    assert picture_digest(p3) != picture_digest(saved(colors))
    assert picture_digest(p3) == picture_digest(rgb_pixels(p3))


@pytest.fixture(scope="module")
def deep() -> np.ndarray:
    """100 x 100 px of 16-bit colours, half of them dark."""
    values = np.random.default_rng(8).integers(0, 65536, (100, 100, 3), np.uint16)
    values[50:] //= 64
    return values


def png_of(channels: np.ndarray, *chunks: bytes) -> bytes:
    """Return 16 bits a channel as a PNG by its definition; Pillow writes none with colours."""
    height, width, count = channels.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[count]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    head = chunk(b"IHDR", struct.pack(">II5B", width, height, 16, color_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [head, *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )


def named_profile(data: bytes) -> bytes:
    return chunk(b"iCCP", b"test\0\0" + zlib.compress(data))


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_followed_into_the_darks(channels: int, gamma: float, deep: np.ndarray) -> None:
    colors = deep[..., : min(3, channels)]
    opaque = [np.full((100, 100, 1), 65535, np.uint16)] if channels == 4 else []
    right = srgb_of_light((colors / 65535) ** gamma)
    tagged = [chunk(b"gAMA", struct.pack(">I", round(100_000 / gamma)))]
    if gamma != 2.2:  # a gamma of 1/2.2 without a profile means sRGB
        found = rgb_pixels(png_of(np.dstack([colors, *opaque]), *tagged))
        assert np.abs(found - right).max() <= WITHIN
    space = named_profile(profile(SRGB, gamma)) if channels != 1 else named_profile(grey_profile(gamma))
    assert np.abs(rgb_pixels(png_of(np.dstack([colors, *opaque]), space)) - right).max() <= WITHIN


def test_sixteen_bits_of_transparency_are_laid_on_white(deep: np.ndarray) -> None:
    alpha = np.zeros((100, 100, 1), np.uint16)
    alpha[:60] = 65535
    data = png_of(np.dstack([deep, alpha]), chunk(b"gAMA", struct.pack(">I", 100_000)))
    found = rgb_pixels(data)
    assert (found[60:] == 255).all()
    assert np.abs(found[:60] - srgb_of_light(deep[:60] / 65535)).max() <= WITHIN


def test_a_deep_tiff_is_followed_into_the_darks() -> None:
    grey = np.linspace(0, 65535, 400 * 400).astype(np.uint16).reshape(400, 400)
    data = saved(Image.fromarray(grey), "TIFF", icc_profile=grey_profile(1.0))
    right = srgb_of_light(grey / 65535)[..., None]
    assert np.abs(rgb_pixels(data) - right).max() <= WITHIN


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_the_numbers_of_an_avif_are_followed(colors: np.ndarray) -> None:
    plain = saved(colors, "AVIF", quality=100, subsampling="4:4:4")
    usual, at = rgb_pixels(plain), plain.index(b"colrnclx") + 8
    assert np.abs(usual - colors.astype(int)).max() <= WITHIN, "sRGB by its numbers"
    wide = plain[:at] + struct.pack(">2H", 12, 13) + plain[at + 4 :]
    assert np.abs(rgb_pixels(wide) - shown(light_of_srgb(usual), DISPLAY_P3)).max() <= WITHIN
    profiled = saved(colors, "AVIF", quality=100, subsampling="4:4:4", icc_profile=profile(ADOBE, 2.2))
    assert np.abs(rgb_pixels(profiled) - shown((usual / 255) ** 2.2, ADOBE)).max() <= WITHIN


def inks(lab: dict[int, tuple[int, int, int]]) -> bytes:
    """Return a CMYK profile by its definition: Lab for each of the 16 mixtures of full inks, C first."""
    corners = bytes(value for mixture in range(16) for value in lab.get(mixture, (0, 128, 128)))
    straight = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += straight * 4 + corners + straight * 3
    named = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"Inks\0" + bytes(78)
    return icc(
        {b"desc": named, b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50), b"A2B0": table}, b"prtr", b"CMYK", b"Lab "
    )


def test_cmyk_is_followed() -> None:
    cyan, paper = (140, 90, 80), (255, 128, 128)
    data = inks({0: paper, 8: cyan})
    stored = np.zeros((320, 320, 4), np.uint8)
    stored[160:, :, 0] = 255
    tiff = saved(Image.frombytes("CMYK", (320, 320), stored.tobytes()), "TIFF", icc_profile=data)
    found = rgb_pixels(tiff)
    assert np.abs(found[0, 0] - 255).max() <= WITHIN
    assert np.abs(found[200, 0] - shown_lab(cyan)).max() <= WITHIN


def shown_lab(values: tuple[int, int, int]) -> np.ndarray:
    """Return the sRGB values of 8-bit Lab, by the definition of CIE Lab."""
    lightness, a, b = values[0] / 2.55, values[1] - 128, values[2] - 128
    f = (lightness + 16) / 116 + np.array([a / 500, 0, -b / 200])
    light = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return srgb_of_light(np.linalg.inv(xyz(SRGB)) @ np.linalg.inv(to_d50()) @ light)


def test_a_profile_that_cannot_be_read_is_said(colors: np.ndarray, picture_bounds: PictureBounds) -> None:
    broken = b"\0" * 16 + b"RGB " + b"\0" * 200
    made = conform_picture(saved(colors, icc_profile=broken), picture_bounds)
    assert made.report == ("Its colour profile cannot be read; its colours are taken as sRGB.",)
    assert (np.asarray(Image.open(io.BytesIO(made.data))) == colors).all()
    assert "icc_profile" not in Image.open(io.BytesIO(made.data)).info
