from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from kling_once.errors import MediaStopped, UnreadableMedia
from kling_once.media.digest import copy_and_digest, frames_digest, picture_digest, url_digest
from kling_once.media.types import Frames, TrimWindow

if TYPE_CHECKING:
    from pathlib import Path

    from kling_once.media.types import Stop

torch = pytest.importorskip("torch")


def clip_digest(path: Path, window: TrimWindow | None = None, stop: Stop | None = None) -> str:
    copy = copy_and_digest(path, path.with_name("copy"), window, stop=stop)
    copy.path.unlink()
    return copy.clip_digest


def as_comfyui_loads(data: bytes) -> Any:
    """What ComfyUI's Load Image does with a file."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    return torch.from_numpy(np.array(image).astype(np.float32) / 255.0)[None,]


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_png_and_the_tensor_loaded_from_it_have_one_digest(astronaut: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for mode, options in (("RGB", {}), ("L", {}), ("P", {}), ("RGB", {"exif": exif})):
        data = saved(Image.fromarray(astronaut[:300]).convert(mode), **options)
        path = tmp_path / "a.png"
        path.write_bytes(data)
        tensor = as_comfyui_loads(data)
        digests = {picture_digest(source) for source in (data, path, tensor, tensor[0], tensor.numpy())}
        assert len(digests) == 1


def test_transparency_is_part_of_a_picture(astronaut: np.ndarray) -> None:
    rgba = np.dstack([astronaut, np.full((512, 512), 255, np.uint8)])
    opaque = picture_digest(saved(Image.fromarray(rgba)))
    assert opaque == picture_digest(saved(Image.fromarray(astronaut)))
    rgba[:100, :, 3] = 0
    holes = picture_digest(saved(Image.fromarray(rgba)))
    assert holes != opaque
    assert holes == picture_digest(torch.from_numpy(rgba.astype(np.float32) / 255))


def test_the_shape_is_part_of_a_picture() -> None:
    assert picture_digest(np.zeros((2, 8, 3), np.float32)) != picture_digest(np.zeros((8, 2, 3), np.float32))


def test_a_batch_is_no_picture() -> None:
    with pytest.raises(UnreadableMedia, match="batch of 2"):
        picture_digest(np.zeros((2, 8, 8, 3), np.float32))


def test_a_clip_is_its_bytes_and_its_window(tmp_path: Path) -> None:
    first, second = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (first, second):
        path.write_bytes(b"motion" * 1000)
    assert clip_digest(first) == clip_digest(second) == clip_digest(first, TrimWindow())
    tenth = clip_digest(first, TrimWindow(0.1, 3.0))
    assert tenth == clip_digest(second, TrimWindow(Fraction(1, 10), 3))
    assert tenth != clip_digest(first)
    second.write_bytes(b"other")
    assert clip_digest(first) != clip_digest(second)


def test_frames_are_their_8_bit_values_rate_and_sound() -> None:
    values = np.random.default_rng(3).random((4, 8, 6, 3), np.float32)
    base = Frames(torch.from_numpy(values), Fraction(24000, 1001))
    digest = frames_digest(base)
    assert digest == frames_digest(Frames(values + np.float32(1e-6), Fraction(24000, 1001)))
    assert digest != frames_digest(Frames(values, Fraction(24)))
    assert digest != frames_digest(Frames(values[:3], Fraction(24000, 1001)))
    sound = {"waveform": torch.zeros(1, 2, 100), "sample_rate": 48000}
    assert digest != frames_digest(Frames(values, Fraction(24000, 1001), sound))


def test_golden_digests_never_change(tmp_path: Path) -> None:
    ramp = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    path = tmp_path / "a.mp4"
    path.write_bytes(b"clip")
    frames = Frames(np.stack([ramp, ramp]).astype(np.float32) / 255, Fraction(30))
    assert [d[:16] for d in (picture_digest(ramp), clip_digest(path), frames_digest(frames))] == [
        "55d41739fed20605",
        "72db4b91c97e1967",
        "81a3a844abc31640",
    ]
    assert clip_digest(path, TrimWindow(1, 2))[:16] == "503258ab206e768e"
    assert url_digest("https://example.com/a.mp4?x=1#frag")[:16] == "20fd8ea1b1eec5d0"


def test_a_fragment_is_no_part_of_a_url() -> None:
    assert url_digest("https://a.b/c?d#e") == url_digest("https://a.b/c?d") != url_digest("https://a.b/c")


def test_digests_stop_when_asked(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(MediaStopped):
        clip_digest(tmp_path / "a", stop=lambda: True)
    with pytest.raises(MediaStopped):
        frames_digest(Frames(np.zeros((1, 2, 2, 3), np.float32), Fraction(1)), stop=lambda: True)
