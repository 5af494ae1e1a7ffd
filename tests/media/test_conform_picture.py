from __future__ import annotations

import contextlib
import io
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kling_once.errors import UnreadableMedia
from kling_once.media.bounds import encoded_bytes
from kling_once.media.conform_picture import conform_picture, encode_pixels
from kling_once.media.digest import picture_digest
from kling_once.media.types import ConformMode, PictureBounds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.media.types import ConformedPicture


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def assert_fits(made: ConformedPicture) -> Image.Image:
    assert made.violations == ()
    assert len(made.data) <= 7_500_000
    image = Image.open(io.BytesIO(made.data))
    assert image.format in {"JPEG", "PNG"}
    assert image.mode in {"RGB", "L"}
    assert image.getexif().get(0x0112, 1) == 1
    assert min(image.size) >= 300
    assert max(image.size) <= 2.5 * min(image.size)
    assert image.size == (made.facts.width_px, made.facts.height_px)
    return image


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_that_fits_is_sent_byte_for_byte(
    form: str, astronaut: np.ndarray, picture_bounds: PictureBounds
) -> None:
    data = saved(Image.fromarray(astronaut), form)
    made = conform_picture(data, picture_bounds, mode=ConformMode.AUTO)
    assert (made.data, made.report, made.violations) == (data, (), ())


def test_transparency_is_laid_on_white(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    rgba = np.dstack([astronaut, np.full((512, 512), 255, np.uint8)])
    rgba[:256, :, 3] = 0
    made = conform_picture(saved(Image.fromarray(rgba)), picture_bounds, mode=ConformMode.AUTO)
    assert_fits(made)
    assert made.report == ("Transparency laid on white.",)
    assert (pixels(made.data)[:256] == 255).all()
    assert (pixels(made.data)[256:] == astronaut[256:]).all()


def test_sixteen_bits_become_eight(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    grey = astronaut.mean(axis=2)
    made = conform_picture(
        saved(Image.fromarray((grey * 257).astype(np.uint16))), picture_bounds, mode=ConformMode.AUTO
    )
    assert_fits(made)
    assert np.abs(pixels(made.data) - grey[..., None]).max() <= 1
    assert made.report == ("Reduced from 16 to 8 bits per channel.",)


def test_cmyk_and_exif_orientation(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: a viewer turns it clockwise
    stored = Image.fromarray(np.rot90(astronaut[:400])).convert("CMYK")
    made = conform_picture(
        saved(stored, "JPEG", exif=exif, quality=95), picture_bounds, mode=ConformMode.AUTO
    )
    image = assert_fits(made)
    assert image.size == (512, 400)
    assert np.abs(pixels(made.data) - astronaut[:400]).mean() < 4
    assert made.report[0] == "Turned upright (EXIF orientation 6)."


@pytest.mark.parametrize("mode", ["P", "1", "LA", "PA"])
def test_unusual_modes_become_rgb(mode: str, astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    stored = Image.fromarray(astronaut).convert(mode if mode != "PA" else "P")
    assert_fits(conform_picture(saved(stored), picture_bounds, mode=ConformMode.AUTO))


def test_webp_is_converted(astronaut: np.ndarray, picture_bounds: PictureBounds, tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    path.write_bytes(saved(Image.fromarray(astronaut), "WEBP", quality=95))
    made = conform_picture(path, picture_bounds, mode=ConformMode.AUTO)
    assert assert_fits(made).format == "JPEG"
    assert made.report[0] == "Converted from WEBP."


def test_an_animation_gives_its_first_frame(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    first, second = Image.fromarray(astronaut), Image.new("RGB", (512, 512), "blue")
    data = saved(first, "GIF", save_all=True, append_images=[second, second])
    made = conform_picture(data, picture_bounds, mode=ConformMode.AUTO)
    assert_fits(made)
    assert "The first of" in made.report[0]
    assert np.abs(pixels(made.data) - astronaut).mean() < 25


def test_a_picture_that_is_too_small_is_scaled(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    made = conform_picture(
        saved(Image.fromarray(astronaut).resize((400, 299))), picture_bounds, mode=ConformMode.AUTO
    )
    assert assert_fits(made).size == (401, 300)
    assert made.report[0] == "Scaled from 400 x 299 to 401 x 300 px."


@pytest.mark.parametrize("size", [(400, 1200), (1200, 400), (150, 450), (299, 3000)])
def test_a_picture_that_is_too_long_gets_borders(
    size: tuple[int, int], astronaut: np.ndarray, picture_bounds: PictureBounds
) -> None:
    made = conform_picture(saved(Image.fromarray(astronaut).resize(size)), picture_bounds)
    assert_fits(made)
    assert any("Borders added" in sentence for sentence in made.report)


def test_the_borders_of_a_long_strip_do_not_fill_the_memory(picture_bounds: PictureBounds) -> None:
    strip = np.full((26_000, 16, 3), 200, np.uint8)
    made = conform_picture(saved(Image.fromarray(strip)), picture_bounds)
    image = assert_fits(made)
    assert image.width * image.height <= 80_100_000
    assert made.report[0].startswith("Scaled from 16 x 26000 to")


@pytest.mark.media
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # of the test's own reading
def test_108_million_pixels(picture_bounds: PictureBounds, astronaut: np.ndarray) -> None:
    huge = Image.fromarray(astronaut).resize((12000, 9000))
    made = conform_picture(saved(huge, "JPEG", quality=95), picture_bounds, mode=ConformMode.AUTO)
    image = assert_fits(made)
    assert image.width / image.height == pytest.approx(4 / 3, abs=0.01)


def test_quality_is_lowered_only_as_needed() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    plenty, _ = encode_pixels(noise, max_encoded_bytes=10_000_000)
    assert Image.open(io.BytesIO(plenty)).format == "PNG"
    assert (pixels(plenty) == noise).all()
    less, _ = encode_pixels(noise, max_encoded_bytes=5_000_000)
    assert Image.open(io.BytesIO(less)).format == "JPEG"
    assert encoded_bytes(len(less)) <= 5_000_000
    assert Image.open(io.BytesIO(less)).size == (1500, 1500)
    tiny, report = encode_pixels(noise, max_encoded_bytes=300_000)
    assert encoded_bytes(len(tiny)) <= 300_000
    assert "Scaled from 1500 x 1500" in report[0]


def test_jpeg_keeps_full_color_resolution() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), np.uint8)
    image = Image.open(io.BytesIO(encode_pixels(noise, max_encoded_bytes=2_500_000)[0]))
    assert [layer[1:3] for layer in getattr(image, "layer")] == [(1, 1)] * 3  # noqa: B009 - JPEG's own


def test_a_color_profile_survives(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    cms = pytest.importorskip("PIL.ImageCms")
    profile = cms.ImageCmsProfile(cms.createProfile("sRGB")).tobytes()
    data = saved(Image.fromarray(astronaut).resize((200, 200)), "PNG", icc_profile=profile)
    made = conform_picture(data, picture_bounds, mode=ConformMode.AUTO)
    assert Image.open(io.BytesIO(made.data)).info["icc_profile"] == profile


def test_off_changes_nothing(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    data = saved(Image.fromarray(astronaut).resize((200, 900)), "WEBP")
    made = conform_picture(data, picture_bounds, mode=ConformMode.OFF)
    assert made.data == data
    assert [v.rule for v in made.violations] == ["image.format", "image.side.min", "image.ratio"]


def test_a_tensor_is_sent_as_it_is(astronaut: np.ndarray, picture_bounds: PictureBounds) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(astronaut.astype(np.float32) / 255)[None]
    made = conform_picture(tensor, picture_bounds, mode=ConformMode.AUTO)
    assert_fits(made)
    assert (pixels(made.data) == astronaut).all()
    assert made.report == ()


def test_values_outside_0_to_1_are_clamped(picture_bounds: PictureBounds) -> None:
    values = np.zeros((300, 300, 3), np.float32)
    values[..., 0], values[..., 1], values[..., 2] = 7.0, -3.0, 0.0
    made = conform_picture(values, picture_bounds, mode=ConformMode.AUTO)
    assert (pixels(made.data) == (255, 0, 0)).all()


def test_a_broken_picture_is_never_a_pass(tmp_path: Path, picture_bounds: PictureBounds) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(saved(Image.effect_noise((500, 500), 80), "JPEG")[:20_000])
    for mode in ConformMode:
        with pytest.raises(UnreadableMedia):
            conform_picture(path, picture_bounds, mode=mode)


@pytest.mark.parametrize(
    "breaks",
    [
        pytest.param(lambda data: data[:2] + b"\xff\xe1\x00\x00" + data[2:], id="a segment without length"),
        pytest.param(lambda data: data[:2] + b"\xff\xc0\x00\x03\x08" + data[2:], id="a short frame header"),
        pytest.param(lambda data: data[:2] + b"\xff\xe1\x00\x0aExif\x00\x00MM" + data[2:], id="short EXIF"),
        pytest.param(lambda data: data.replace(b"\x01\x12", b"\x92\x86"), id="EXIF of another tag"),
    ],
)
@pytest.mark.parametrize("mode", list(ConformMode))
def test_a_malformed_photo_is_measured_or_refused_in_words(
    mode: ConformMode,
    breaks: Callable[[bytes], bytes],
    astronaut: np.ndarray,
    picture_bounds: PictureBounds,
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(astronaut), "JPEG", exif=exif)
    with contextlib.suppress(UnreadableMedia):
        conform_picture(breaks(data), picture_bounds, mode=mode)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, of EXIF
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # a TIFF's, as it is loaded
@given(
    place=st.integers(0, 400), bits=st.integers(1, 255), form=st.sampled_from(["JPEG", "PNG", "TIFF", "GIF"])
)
@settings(max_examples=100, deadline=None)
def test_no_damage_near_the_start_of_a_file_is_a_traceback(place: int, bits: int, form: str) -> None:
    data = bytearray(small_photos()[form])
    data[place % len(data)] ^= bits
    bounds = PictureBounds(min_side_px=4, max_side_px=65536, max_ratio=2.5, max_encoded_bytes=10_000_000)
    with contextlib.suppress(UnreadableMedia):
        conform_picture(bytes(data), bounds)
    with contextlib.suppress(UnreadableMedia):
        picture_digest(bytes(data))


@cache
def small_photos() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (16, 16, 3), np.uint8))
    return {form: saved(image, form, exif=exif) for form in ("JPEG", "PNG", "TIFF")} | {
        "GIF": saved(image, "GIF", save_all=True, append_images=[image.rotate(90)])
    }


def test_a_video_for_a_picture_is_refused_without_being_read(
    tmp_path: Path, picture_bounds: PictureBounds
) -> None:
    path = tmp_path / "clip.mp4"
    with path.open("wb") as file:
        file.write(b"\x00\x00\x00\x18ftypmp42")
        file.truncate(50_000_000_000)  # far more than there is memory; the file system stores a few bytes
    with pytest.raises(UnreadableMedia, match=r"clip\.mp4 is not a picture"):
        conform_picture(path, picture_bounds)


def test_a_grey_profile_is_not_put_into_a_color_picture(
    astronaut: np.ndarray, picture_bounds: PictureBounds
) -> None:
    grey = Image.fromarray(astronaut).convert("L").resize((200, 200))
    profile = bytearray(128)
    profile[16:20] = b"GRAY"
    made = conform_picture(saved(grey, "PNG", icc_profile=bytes(profile)), picture_bounds)
    image = Image.open(io.BytesIO(made.data))
    assert (image.mode, image.info.get("icc_profile")) == ("RGB", None)
