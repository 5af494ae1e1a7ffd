"""Nothing of a picture's file but its pixels and colour tags is sent; what is no picture is said in words."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from kling_once.errors import UnreadableMedia
from kling_once.media.conform_picture import conform_picture
from kling_once.media.digest import copy_and_digest, frames_digest, picture_digest
from kling_once.media.picture import probe_picture
from kling_once.media.profile import has_private_tags
from kling_once.media.types import ConformMode, Frames

if TYPE_CHECKING:
    from pathlib import Path

    from kling_once.media.types import PictureBounds

SECRET = b"secret-4711"


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def photo(**options: Any) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[1] = "N"
    pixels = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    return saved(Image.fromarray(pixels), "JPEG", exif=exif, comment=SECRET, xmp=SECRET, **options)


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}], ids=str)
def test_private_data_of_a_photo_are_not_sent(
    mode: ConformMode, options: dict[str, Any], picture_bounds: PictureBounds
) -> None:
    data = photo(**options) + b"motion photo " + SECRET
    made = conform_picture(data, picture_bounds, mode=mode)
    assert SECRET not in made.data
    left_out = "EXIF, the place it was taken, a description, XMP, a comment, data after the picture"
    assert made.report == (f"Left out of what is sent: {left_out}.",)
    sent = Image.open(io.BytesIO(made.data))
    assert (np.asarray(sent) == np.asarray(Image.open(io.BytesIO(data)))).all()  # without a loss
    assert not dict(sent.getexif())
    assert made.facts.size_bytes == len(made.data)


def test_the_orientation_of_a_private_photo_is_kept(picture_bounds: PictureBounds) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, SECRET.decode()
    data = saved(Image.new("RGB", (400, 500), "red"), "JPEG", exif=exif)
    made = conform_picture(data, picture_bounds, mode=ConformMode.OFF)
    assert SECRET not in made.data
    assert Image.open(io.BytesIO(made.data)).getexif()[0x0112] == 6
    assert (made.facts.width_px, made.facts.height_px) == (500, 400)


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
def test_the_workflow_in_a_png_is_not_sent(mode: ConformMode, picture_bounds: PictureBounds) -> None:
    info = PngInfo()
    info.add_text("prompt", SECRET.decode())
    info.add_text("workflow", SECRET.decode(), zip=True)
    info.add_itxt("note", SECRET.decode())
    pixels = np.random.default_rng(2).integers(0, 256, (400, 400, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    data = saved(Image.fromarray(pixels), pnginfo=info, exif=exif)
    data = data[:-12] + chunk(b"prVt", SECRET) + data[-12:] + SECRET
    made = conform_picture(data, picture_bounds, mode=mode)
    texts, others = "text (prompt, workflow, note)", "EXIF, a description, data of the kind prVt"
    assert made.report == (f"Left out of what is sent: {texts}, {others}, data after the picture.",)
    assert SECRET not in made.data
    kinds = [kind for kind, _ in chunks(made.data)]
    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}
    assert (np.asarray(Image.open(io.BytesIO(made.data))) == pixels).all()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    return found


def test_a_png_with_large_text_and_a_large_profile_is_read(picture_bounds: PictureBounds) -> None:
    image = Image.new("RGB", (400, 400), "teal")
    text = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b" " * 9_000_000))
    broad = b"\0" * 16 + b"RGB " + b"\0" * 3_000_000
    profile = chunk(b"iCCP", b"large\0\0" + zlib.compress(broad))
    plain = saved(image)
    data = plain[:33] + profile + text + plain[33:]
    made = conform_picture(data, picture_bounds)
    assert (np.asarray(Image.open(io.BytesIO(made.data))) == np.asarray(image)).all()
    assert "Left out of what is sent: text (workflow)." in made.report


def test_a_file_that_is_not_understood_is_saved_anew(picture_bounds: PictureBounds) -> None:
    unusual = photo()[:-2] + b"\xff\xfe\xff\xff" + SECRET  # a comment that is longer than the file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = conform_picture(unusual, picture_bounds, mode=ConformMode.OFF)
    assert SECRET not in made.data
    assert made.report[0] == "Saved anew, since the file holds parts that are not understood."


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xff\x0a\x00\x00", "JPEG XL"),
        (b"8BPS\x00\x09", "PSD"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_a_format_that_cannot_be_read_is_named(head: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.picture"
    path.write_bytes(head + bytes(64))
    for source in (path, path.read_bytes()):
        with pytest.raises(UnreadableMedia, match=f"format {name}.*(PNG|JPEG)"):
            probe_picture(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, picture_bounds: PictureBounds) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, type(pipe)("/dev/zero")):
        with pytest.raises(UnreadableMedia, match="is a device or a pipe, not a file"):
            conform_picture(path, picture_bounds)
        with pytest.raises(UnreadableMedia, match="is a device or a pipe, not a file"):
            copy_and_digest(path, tmp_path / "copy.mp4")
        assert not (tmp_path / "copy.mp4").exists()


def test_an_opaque_alpha_changes_no_key() -> None:
    rgb = np.random.default_rng(1).random((300, 300, 3), np.float32)
    rgba = np.dstack([rgb, np.ones((300, 300, 1), np.float32)])
    assert picture_digest(rgb) == picture_digest(rgba)
    assert frames_digest(Frames(rgb[None], Fraction(5))) == frames_digest(Frames(rgba[None], Fraction(5)))


def test_alpha_of_a_tensor_that_is_laid_on_white_is_said(picture_bounds: PictureBounds) -> None:
    rgba = np.ones((300, 300, 4), np.float32)
    assert conform_picture(rgba, picture_bounds).report == ()
    rgba[:10, :10, 3] = 0.5
    assert conform_picture(rgba, picture_bounds).report == ("Transparency laid on white.",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(value: float, picture_bounds: PictureBounds) -> None:
    picture = np.full((300, 300, 3), 0.5, np.float32)
    picture[7, 8, 1] = value
    with pytest.raises(UnreadableMedia, match="NaN or infinite"):
        conform_picture(picture, picture_bounds)
    with pytest.raises(UnreadableMedia, match="NaN or infinite"):
        picture_digest(picture)


@pytest.mark.parametrize(
    "image",
    [
        *([[0.5] * 3] * 3, [], "picture", None, 5),
        *(np.zeros(shape, np.float32) for shape in ((0, 300, 300, 3), (1, 300, 300), (300, 300, 2))),
        *(np.zeros((300, 300, 3), kind) for kind in (np.int64, bool, object)),
    ],
    ids=lambda image: str(getattr(image, "shape", image))[:30],
)
def test_what_has_no_shape_of_a_picture_is_refused_in_words(
    image: Any, picture_bounds: PictureBounds
) -> None:
    with pytest.raises(UnreadableMedia):
        conform_picture(image, picture_bounds)
    with pytest.raises(UnreadableMedia):
        picture_digest(image)


def test_more_than_twice_as_large_is_refused(picture_bounds: PictureBounds) -> None:
    for side, rules in ((1, ["image.side.min"]), (149, ["image.side.min"]), (150, [])):
        made = conform_picture(np.full((side, side, 3), 0.5, np.float32), picture_bounds)
        assert [violation.rule for violation in made.violations] == rules
        if rules:
            assert "2 times as large" in made.violations[0].message


@pytest.mark.media
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures with Linux's figures")
def test_the_memory_of_169_million_pixels(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    Image.new("RGB", (13_000, 13_000), "navy").save(path)
    code = (
        "import sys; from pathlib import Path\n"
        "from kling_once.media.conform_picture import conform_picture\n"
        "from kling_once.media.digest import picture_digest\n"
        "from kling_once.media.picture import read_picture\n"
        "from kling_once.media.types import PictureBounds\n"
        "bounds = PictureBounds(300, 65536, 2.5, 10_000_000)\n"
        "picture = read_picture(Path(sys.argv[1])); picture_digest(picture)\n"
        "assert not conform_picture(picture, bounds).violations\n"
        "lines = Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line.split()[1] for line in lines if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, capture_output=True, text=True)
    assert int(done.stdout) * 1024 < 1_500_000_000


def hidden_in_exif() -> tuple[bytes, bytes]:
    """Return a thumbnail behind the orientation, and what an editor left behind it, each as TIFF."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 1, 0)
    head = b"II*\0" + struct.pack("<IH", 8, 1) + entry
    thumbnail = struct.pack("<H", 2) + struct.pack("<HHII", 0x201, 4, 1, 56)
    thumbnail += struct.pack("<HHII", 0x202, 4, 1, len(SECRET)) + bytes(4) + SECRET
    return head + struct.pack("<I", 26) + thumbnail, head + bytes(4) + SECRET


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
@pytest.mark.parametrize("tiff", hidden_in_exif(), ids=["thumbnail", "leftover"])
def test_what_hides_behind_an_orientation_is_not_sent(
    tiff: bytes, mode: ConformMode, picture_bounds: PictureBounds
) -> None:
    plain = saved(Image.new("RGB", (400, 400), (9, 90, 200)), "JPEG")
    body = b"Exif\0\0" + tiff
    jpeg = plain[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body + plain[2:]
    png = saved(Image.new("RGB", (400, 400), (9, 90, 200)))
    for data in (jpeg, png[:33] + chunk(b"eXIf", tiff) + png[33:]):
        made = conform_picture(data, picture_bounds, mode=mode)
        assert SECRET in data
        assert SECRET not in made.data
        assert made.report == ("Left out of what is sent: EXIF.",)


def with_wide_red(profile: bytes) -> bytes:
    """Return a profile whose red is not that of sRGB."""
    at = profile.index(b"rXYZ", 128) + 4
    (start,) = struct.unpack_from(">I", profile, at)
    return profile[: start + 8] + struct.pack(">3i", 40000, 15000, -50) + profile[start + 20 :]


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("is_wide", [False, True])
def test_a_monitors_serial_number_in_a_profile_is_not_sent(
    form: str, mode: ConformMode, picture_bounds: PictureBounds, *, is_wide: bool
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert not has_private_tags(profile)
    profile = with_wide_red(profile) if is_wide else profile
    (count,) = struct.unpack_from(">I", profile, 128)
    end = 132 + 12 * count
    moved = [struct.unpack_from(">4sII", profile, 132 + 12 * at) for at in range(count)]
    tags = b"".join(struct.pack(">4sII", name, start + 12, size) for name, start, size in moved)
    tags += struct.pack(">4sII", b"mmod", len(profile) + 12, len(SECRET))
    private = profile[:128] + struct.pack(">I", count + 1) + tags + profile[end:] + SECRET
    private = struct.pack(">I", len(private)) + private[4:]
    assert has_private_tags(private)
    assert has_private_tags(profile + SECRET)
    image = Image.new("RGB", (400, 400), (9, 90, 200))
    made = conform_picture(saved(image, form, icc_profile=private), picture_bounds, mode=mode)
    assert SECRET not in made.data
    said = "Converted from the colour profile" if is_wide else "without its colour profile"
    assert said in made.report[0]
    assert "icc_profile" not in Image.open(io.BytesIO(made.data)).info


@pytest.mark.parametrize("mode", [ConformMode.AUTO, ConformMode.OFF])
def test_a_part_of_a_profile_is_not_sent(mode: ConformMode, picture_bounds: PictureBounds) -> None:
    plain = saved(Image.new("RGB", (400, 400), (9, 90, 200)), "JPEG")
    body = b"ICC_PROFILE\0\1\2" + SECRET
    jpeg = plain[:2] + struct.pack(">BBH", 0xFF, 0xE2, len(body) + 2) + body + plain[2:]
    made = conform_picture(jpeg, picture_bounds, mode=mode)
    assert SECRET not in made.data
    assert made.report[0] == "Its colour profile cannot be read; its colours are taken as sRGB."
