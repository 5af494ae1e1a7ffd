from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from kling_direct.errors import UnreadableMedia
from kling_direct.media.bounds import encoded_bytes
from kling_direct.media.conform import conform_picture
from kling_direct.media.encode import encode_picture
from kling_direct.media.types import ConformMode

if TYPE_CHECKING:
    from pathlib import Path

    from kling_direct.media.types import ConformedPicture, PictureBounds


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


@pytest.mark.parametrize("size", [(400, 1200), (1200, 400), (100, 300), (299, 3000)])
def test_a_picture_that_is_too_long_gets_borders(
    size: tuple[int, int], astronaut: np.ndarray, picture_bounds: PictureBounds
) -> None:
    made = conform_picture(saved(Image.fromarray(astronaut).resize(size)), picture_bounds)
    assert_fits(made)
    assert any("Borders added" in sentence for sentence in made.report)


@pytest.mark.media
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # of the test's own reading
def test_108_million_pixels(picture_bounds: PictureBounds, astronaut: np.ndarray) -> None:
    huge = Image.fromarray(astronaut).resize((12000, 9000))
    made = conform_picture(saved(huge, "JPEG", quality=95), picture_bounds, mode=ConformMode.AUTO)
    image = assert_fits(made)
    assert image.width / image.height == pytest.approx(4 / 3, abs=0.01)


def test_quality_is_lowered_only_as_needed() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1500, 3), np.uint8)
    plenty = encode_picture(noise.astype(np.float32) / 255, max_encoded_bytes=10_000_000)
    assert plenty.format == "PNG"
    assert (pixels(plenty.data) == noise).all()
    less = encode_picture(noise, max_encoded_bytes=5_000_000)
    assert less.format == "JPEG"
    assert encoded_bytes(len(less.data)) <= 5_000_000
    assert Image.open(io.BytesIO(less.data)).size == (1500, 1500)
    tiny = encode_picture(noise, max_encoded_bytes=300_000)
    assert encoded_bytes(len(tiny.data)) <= 300_000
    assert "Scaled from 1500 x 1500" in tiny.report[0]


def test_jpeg_keeps_full_color_resolution() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (900, 900, 3), np.uint8)
    image = Image.open(io.BytesIO(encode_picture(noise, max_encoded_bytes=2_500_000).data))
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
    values[..., 0], values[..., 1], values[..., 2] = 7.0, -3.0, np.nan
    made = conform_picture(values, picture_bounds, mode=ConformMode.AUTO)
    assert (pixels(made.data) == (255, 0, 0)).all()


def test_a_broken_picture_is_never_a_pass(tmp_path: Path, picture_bounds: PictureBounds) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(saved(Image.effect_noise((500, 500), 80), "JPEG")[:20_000])
    for mode in ConformMode:
        with pytest.raises(UnreadableMedia):
            conform_picture(path, picture_bounds, mode=mode)
