"""What `check` accepts the sandbox accepts, and the other way round.

The two were written apart from the documentation. Where ours is stricter on purpose (the form of a URL or of
an id of one's own), acceptance goes one way only.
"""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from kling_once.api.elements import ElementRequest
from kling_once.api.motion_control import RESOLUTIONS
from kling_once.jobs.violations import order_violations
from kling_once.media.types import ConformMode
from kling_once.order import (
    Cuts,
    ElementOrder,
    MotionControl,
    Order,
    Service,
    Spender,
    VideoFile,
    VideoUrl,
)
from kling_once.sandbox.elements import read_element_order
from kling_once.sandbox.rules import read_order
from kling_once.sandbox.standard import CREATE_PATHS, read_standard_order
from kling_once.sandbox.wire import Refusal, parse_body
from kling_once.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KLING = "https://api-singapore.klingai.com"
CALLBACKS = "https://back.example"
FIELDS: dict[str, Any] = {"video_url": "https://clips.example/a.mp4"}

odd_texts = st.text(max_size=12)


def ours(fields: dict[str, Any], orders: Settings) -> bool:
    motion = MotionControl(
        fields.get("prompt", ""),
        fields.get("model", "kling-v2-6"),
        fields.get("mode", "std"),
        fields.get("orientation", "video"),
        element_id=fields.get("element", ""),
    )
    order = Order(
        image=b"",
        video=VideoUrl(fields.get("video", "https://clips.example/a.mp4")),
        motion=motion,
        service=Service.KLING,
        callback_url=fields.get("callback", ""),
        external_task_id=fields.get("external", ""),
        max_units=Decimal(0),
        spender=Spender("p"),
    )
    return not order_violations(order, KLING, orders, has_host=True)


def theirs(fields: dict[str, Any]) -> bool:
    element = fields.get("element", "")
    body = {
        "model_name": fields.get("model", "kling-v2-6"),
        "image_url": "QUJD",
        "video_url": fields.get("video", "https://clips.example/a.mp4"),
        "prompt": fields.get("prompt", ""),
        "mode": fields.get("mode", "std"),
        "character_orientation": fields.get("orientation", "video"),
        "callback_url": fields.get("callback", ""),
        "external_task_id": fields.get("external", ""),
    }
    if element:
        number = int(element) if element.isascii() and element.isdigit() else element
        body["element_list"] = [{"element_id": number}]
    try:
        read_order(parse_body(json.dumps(body).encode()))
    except Refusal:
        return False
    return True


def theirs_on_standard(fields: dict[str, Any]) -> bool:
    """As `theirs`, by the pages of the generation `standard`, whose path names the model."""
    path = next(
        (path for path, one in CREATE_PATHS.items() if one.name == fields.get("model", "kling-v2-6")), ""
    )
    mode, element = fields.get("mode", "std"), fields.get("element", "")
    contents = [
        {"type": "image", "url": "QUJD"},
        {"type": "video", "url": fields.get("video", "https://clips.example/a.mp4")},
        {"type": "prompt", "text": fields.get("prompt", "")},
    ]
    if element:
        digits = str(int(element)) if element.isascii() and element.isdigit() else element
        contents.append({"type": "element", "element_id": digits, "id": "element_1"})
    body = {
        "contents": contents,
        "settings": {
            "character_orientation": fields.get("orientation", "video"),
            "resolution": RESOLUTIONS.get(mode, mode),
        },
        "options": {
            "callback_url": fields.get("callback", ""),
            "external_task_id": fields.get("external", ""),
        },
    }
    try:
        read_standard_order(CREATE_PATHS[path], parse_body(json.dumps(body).encode()))
    except (Refusal, KeyError):
        return False
    return True


THEIRS = {"legacy": theirs, "standard": theirs_on_standard}


@pytest.fixture
def operator(hermetic: None, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("KLING_ONCE_CALLBACK_ORIGINS", CALLBACKS)
    return Settings()


choices = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["kling-v2-6", "kling-v3", "kling-v2.6", "KLING-V3", ""]) | odd_texts,
        "mode": st.sampled_from(["std", "pro", "4k", "Std", ""]) | odd_texts,
        "orientation": st.sampled_from(["video", "image", "Image", ""]) | odd_texts,
        "element": st.sampled_from(["", "0", "1", "007", "829836802793406551", str(2**63 - 1), str(2**63)])
        | st.integers(-5, 2**65).map(str)
        | odd_texts,
        "prompt": odd_texts | st.sampled_from(["x" * 2500, "x" * 2501, "舞" * 2500, "😀" * 2500, "\ud800"]),
    },
)


@pytest.mark.both_generations
@settings(max_examples=250)
@given(choices)
def test_both_sides_accept_the_same_settings(
    operator: Settings, generation: str, fields: dict[str, Any]
) -> None:
    if generation == "standard" and fields.get("model", "kling-v2-6") == "kling-v2-6":
        fields = fields | {"element": ""}  # its page lists no element: that is a note, and Kling's to refuse
    assert ours(fields, operator) == THEIRS[generation](fields)


element_choices = st.fixed_dictionaries(
    {},
    optional={
        "name": odd_texts | st.sampled_from(["", "x" * 20, "x" * 21, "舞" * 20, "😀" * 21, "\ud800"]),
        "description": odd_texts | st.sampled_from(["", "x" * 100, "x" * 101, "舞" * 100]),
        "views": st.integers(0, 5),
        "has_frontal": st.booleans(),
    },
)


@settings(max_examples=150)
@given(element_choices)
def test_both_sides_accept_the_same_elements(operator: Settings, fields: dict[str, Any]) -> None:
    frontal = b"0" if fields.get("has_frontal", True) else None
    count = fields.get("views", 1)
    name, description = fields.get("name", "Mia"), fields.get("description", "In orange")
    order = ElementOrder(name, description, frontal, (b"1",) * count, service=Service.KLING)
    accepted = not order_violations(order, KLING, operator, has_host=True)
    request = ElementRequest(
        name=name, description=description, frontal_image="QUJD" if frontal else "", views=("REVG",) * count
    )
    try:
        read_element_order(parse_body(json.dumps(request.wire()).encode()))
    except Refusal:
        assert not accepted
    else:
        assert accepted


addresses = st.sampled_from(
    [
        "https://clips.example/a.mp4",
        "HTTPS://clips.example/a.mp4",
        "https://clips.example:8443/a b.mp4",
        "https://clips.example:port/",
        "https://[::1",
        " https://clips.example/a.mp4 ",
        "https://clips.example/\x7f",
        "https://",
    ]
) | st.builds("https://clips.example{}".format, st.text(max_size=8))
callbacks = st.builds((CALLBACKS + "{}").format, st.text(max_size=8)) | st.sampled_from(
    ["", f" {CALLBACKS}/x", f"{CALLBACKS}/a b", f"{CALLBACKS}:port/", f"{CALLBACKS}/\n"]
)
stricter = st.fixed_dictionaries(
    {},
    optional={
        "video": addresses,
        "callback": callbacks,
        "external": st.from_regex(r"[A-Za-z0-9_.-]{1,66}", fullmatch=True) | odd_texts,
    },
)


@settings(max_examples=250)
@given(stricter)
@example({"callback": f"{CALLBACKS}/a b"})
@example({"callback": f" {CALLBACKS}/x"})
def test_what_we_accept_the_sandbox_accepts(operator: Settings, fields: dict[str, Any]) -> None:
    assert not ours(fields, operator) or theirs(fields)


class Side:
    """Both sides over files: our check through the engine, the sandbox over TCP."""

    def __init__(self, engine: Any, sandbox: Any) -> None:
        self._engine = engine
        self._sandbox = sandbox

    def ours(self, picture: Path, clip: Path, orientation: str) -> list[str]:
        order = Order(
            image=picture,
            video=VideoFile(clip),
            motion=MotionControl(character_orientation=orientation),
            conform=ConformMode.OFF,
            cuts=Cuts.SEND,
            spender=Spender("p"),
        )
        return sorted({found.field for found in self._engine.check(order).result(60).violations})

    def theirs(self, picture: Path, clip: Path, orientation: str) -> list[str]:
        answer = self._sandbox.http.post(
            f"{self._sandbox.origin}/v1/videos/motion-control",
            headers={"Authorization": "Bearer sandbox-api-key-0123456789abcdefghij"},
            json={
                "image_url": base64.b64encode(picture.read_bytes()).decode(),
                "video_url": self._sandbox.upload(clip),
                "character_orientation": orientation,
                "mode": "std",
            },
        ).json()
        assert answer["code"] in {0, 1201}, answer
        said = answer["message"] if answer["code"] else ""
        return [name for name in ("image", "video") if f"{name}_url:" in said]


@pytest.fixture
def both(engine: Any, sandbox: Any) -> Side:
    return Side(engine, sandbox)


@pytest.fixture(scope="session")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Draw pictures and clips, each once."""
    folder = tmp_path_factory.mktemp("around-the-limits")

    def picture(kind: str, mode: str, width: int, height: int, turn: int) -> Path:
        path = folder / f"{kind}-{mode}-{width}x{height}-{turn}.{kind.lower()}"
        if not path.exists():
            exif = Image.Exif()
            if turn != 1:
                exif[0x0112] = turn
            Image.new(mode, (width, height)).save(path, kind, exif=exif)
        return path

    def clip(suffix: str, codec: str, width: int, height: int, frames: int, rate: Fraction) -> Path:
        name = f"{codec}-{width}x{height}-{frames}-{rate.numerator}-{rate.denominator}{suffix}"
        path = folder / name
        if not path.exists():
            write_clip(path, codec, (width, height), frames, rate)
        return path

    def one(*what: Any) -> Path:
        return picture(*what) if len(what) == 5 else clip(*what)

    return one


def write_clip(path: Path, codec: str, size: tuple[int, int], frames: int, rate: Fraction) -> None:
    width, height = size
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj444p" if codec == "mjpeg" else "yuv444p" if codec == "libx264" else "yuv420p"
        stream.options = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {}
        pixels = np.zeros((height, width, 3), np.uint8)
        pixels[:, : width // 2] = 200
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(pixels, number * 7, axis=1), "rgb24")
            frame.pts, frame.time_base = number, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


GOOD_PICTURE = ("PNG", "RGB", 320, 320, 1)
GOOD_CLIP = (".mp4", "libx264", 360, 360, 30, Fraction(10))

pictures = st.tuples(
    st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]),
    st.sampled_from(["RGB", "L"]),
    st.sampled_from([299, 300, 301, 750]),
    st.sampled_from([299, 300, 750, 751, 752]),
    st.sampled_from([1, 3, 6]),
)


@settings(max_examples=60)
@given(pictures)
@example(("PNG", "RGBA", 300, 300, 1))
@example(("PNG", "P", 300, 300, 1))
@example(("PNG", "I;16", 300, 300, 1))
@example(("PNG", "1", 300, 300, 1))
@example(("JPEG", "CMYK", 300, 300, 1))
@example(("PNG", "RGB", 300, 751, 1))
@example(("PNG", "RGB", 300, 750, 1))
@example(("PNG", "RGB", 402, 1005, 1))
@example(("PNG", "RGB", 401, 1003, 1))
def test_both_sides_accept_the_same_pictures(both: Side, draw: Any, picture: tuple[Any, ...]) -> None:
    files = draw(*picture), draw(*GOOD_CLIP)
    assert both.ours(*files, "video") == both.theirs(*files, "video")


RATES = [Fraction(10), Fraction(25), Fraction(30000, 1001)]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("limit", [3, 10])
@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_both_sides_accept_the_same_lengths(
    both: Side, draw: Any, rate: Fraction, limit: int, off: int, suffix: str
) -> None:
    files = draw(*GOOD_PICTURE), draw(suffix, "libx264", 360, 360, round(limit * rate) + off, rate)
    assert both.ours(*files, "image") == both.theirs(*files, "image")


@pytest.mark.parametrize("frames", [299, 300, 301])
def test_both_sides_accept_the_same_lengths_around_30_seconds(both: Side, draw: Any, frames: int) -> None:
    files = draw(*GOOD_PICTURE), draw(".mp4", "libx264", 360, 360, frames, Fraction(10))
    for orientation in ("video", "image"):
        assert both.ours(*files, orientation) == both.theirs(*files, orientation)
    assert (both.ours(*files, "video") == []) is (frames <= 300)


SIDES = [(339, 360), (340, 360), (341, 340), (360, 339), (3850, 340), (3851, 340), (340, 3850), (342, 3852)]


@pytest.mark.parametrize(("width", "height"), SIDES)
def test_both_sides_accept_the_same_sides(both: Side, draw: Any, width: int, height: int) -> None:
    files = draw(*GOOD_PICTURE), draw(".mp4", "libx264", width, height, 6, Fraction(2))
    assert both.ours(*files, "video") == both.theirs(*files, "video")
    fits = min(width, height) >= 340 and max(width, height) <= 3850
    assert (both.ours(*files, "video") == []) is fits


KINDS = [
    (".mp4", "libx264"),
    (".mov", "libx264"),
    (".mp4", "mpeg4"),
    (".mov", "mpeg4"),
    (".mov", "mjpeg"),
    (".m4v", "libx264"),
    (".mkv", "libx264"),
    (".avi", "mpeg4"),
    (".webm", "libvpx"),
    (".ts", "libx264"),
    (".3gp", "mpeg4"),
]


@pytest.mark.parametrize(("suffix", "codec"), KINDS)
def test_both_sides_accept_the_same_containers(both: Side, draw: Any, suffix: str, codec: str) -> None:
    files = draw(*GOOD_PICTURE), draw(suffix, codec, 352, 352, 6, Fraction(2))
    assert both.ours(*files, "video") == both.theirs(*files, "video")


def damaged(source: Path, target: Path, how: str) -> Path:
    content = source.read_bytes()
    changed = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "without its end": content[:-200],
        "one byte": content[:1],
        "head alone": content[:64],
        "text": b"no such thing",
        "zeros": bytes(5000),
    }[how]
    target.write_bytes(changed)
    return target


DAMAGES = ["empty", "half", "without its end", "one byte", "head alone", "text", "zeros"]


@pytest.mark.parametrize("how", DAMAGES)
def test_both_sides_refuse_the_same_damage(both: Side, draw: Any, tmp_path: Path, how: str) -> None:
    picture, clip = draw("PNG", "RGB", 320, 321, 1), draw(*GOOD_CLIP)
    broken_picture, broken_clip = (damaged(file, tmp_path / file.name, how) for file in (picture, clip))
    for files in ((broken_picture, clip), (picture, broken_clip)):
        assert both.ours(*files, "video") == both.theirs(*files, "video")


@pytest.mark.parametrize(("size_bytes", "fits"), [(7_499_998, True), (7_500_000, True), (7_500_001, False)])
def test_both_sides_accept_the_same_picture_size_after_encoding(
    both: Side, draw: Any, tmp_path: Path, size_bytes: int, fits: bool
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (320, 320)).save(buffer, "JPEG")
    picture = tmp_path / "padded.jpg"
    picture.write_bytes(buffer.getvalue().ljust(size_bytes, b"\0"))
    files = picture, draw(*GOOD_CLIP)
    assert both.ours(*files, "video") == both.theirs(*files, "video") == ([] if fits else ["image"])


@pytest.mark.parametrize(("size_bytes", "fits"), [(100_000_000, True), (100_000_001, False)])
def test_both_sides_accept_the_same_clip_size(
    both: Side, draw: Any, tmp_path: Path, size_bytes: int, fits: bool
) -> None:
    clip = tmp_path / "padded.mp4"
    content = draw(*GOOD_CLIP).read_bytes()
    with clip.open("wb") as file:
        file.write(content + (size_bytes - len(content)).to_bytes(4, "big") + b"free")
        file.truncate(size_bytes)
    files = draw(*GOOD_PICTURE), clip
    assert both.ours(*files, "video") == both.theirs(*files, "video") == ([] if fits else ["video"])
