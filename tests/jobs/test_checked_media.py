"""What a check says of clips that nobody can mend, and of those that only Kling sees."""

from __future__ import annotations

import http.server
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from kling_once.errors import InputRefused, KlingOnceError
from kling_once.media.types import ConformMode, TrimWindow
from kling_once.order import VideoFile, VideoUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ENCRYPTED = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "76a6c65c5ea762046bd749a2e632ccbb",
    "encryption_kid": "a7e61c373e219033c21091fa607bf3b8",
}


class WebServer:
    """A server on loopback that counts what it is asked."""

    def __init__(self) -> None:
        asked = self.asked = list[str]()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET  # noqa: N815 - the library's name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.clip_url = f"http://127.0.0.1:{self._server.server_port}/clip.mp4"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.stop()


@pytest.fixture
def encrypted(tmp_path: Path) -> Path:
    path = tmp_path / "bought.mp4"
    with av.open(str(path), "w", format="mp4", options=ENCRYPTED) as output:
        stream: Any = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 360, 360, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((540, 360), number, np.uint8), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def sound_only(tmp_path: Path) -> Path:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="ipod") as output:
        stream: Any = output.add_stream("aac", rate=48000)
        stream.layout = "mono"
        for number in range(200):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), number * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("clip", "says"),
    [("encrypted", "bought.mp4 is encrypted"), ("sound_only", "song.m4a holds no moving picture")],
)
def test_a_clip_that_nobody_can_mend_is_one_violation(
    clip: str, says: str, request: pytest.FixtureRequest, sandbox: Any, engine: Any, order: Callable[..., Any]
) -> None:
    wanted = order(video=VideoFile(request.getfixturevalue(clip)))
    (violation,) = engine.check(wanted).result().violations
    assert violation.rule == "video.readable"
    assert violation.message.startswith(says)
    with pytest.raises(InputRefused) as refused:
        engine.run(wanted).result()
    assert refused.value.violations == [violation]
    assert sandbox.creates() == []


def test_a_check_of_a_url_says_what_could_not_be_checked_and_prices_the_most(
    web: WebServer, engine: Any, order: Callable[..., Any]
) -> None:
    checked = engine.check(order(video=VideoUrl(web.clip_url), character_orientation="image")).result()
    assert checked.violations == ()
    assert "its format, length, size and cuts could not be checked" in checked.notes[0]
    assert checked.price.seconds == 10
    assert web.asked == []


def test_a_url_is_passed_on_and_never_fetched_by_us(
    web: WebServer,
    sandboxes: Callable[..., Any],
    engines: Callable[..., Any],
    order: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vendor = sandboxes(fetch="own")  # one that does not fetch it either
    monkeypatch.setenv("KLING_ONCE_SANDBOX_URL", vendor.origin)
    with pytest.raises(KlingOnceError):
        engines().run(order(video=VideoUrl(web.clip_url))).result()
    (create,) = vendor.creates()
    assert create["body"]["video_url"] == web.clip_url
    assert web.asked == []


@pytest.mark.parametrize("minutes", [7 * 24 * 60 + 1, -1, float("nan")])
def test_a_wait_of_more_than_seven_days_is_a_violation(
    minutes: float, sandbox: Any, engine: Any, order: Callable[..., Any]
) -> None:
    (violation,) = engine.check(order(wait_minutes=minutes)).result().violations
    assert (violation.field, violation.rule) == ("wait_minutes", "wait_minutes.range")
    with pytest.raises(InputRefused):
        engine.run(order(wait_minutes=minutes)).result()
    assert engine.check(order(wait_minutes=7 * 24 * 60)).result().ok
    assert sandbox.creates() == []


@pytest.mark.parametrize(
    ("conform", "window", "seconds"),
    [
        ("auto", TrimWindow(4, 2), 2),
        ("auto", TrimWindow(1, 34), None),
        ("auto", None, None),
        ("off", TrimWindow(4, 2), 2),
        ("off", TrimWindow(1, 34), 34),
    ],
)
def test_a_refused_trim_shows_no_price_of_another_length(
    engine: Any,
    order: Callable[..., Any],
    ffmpeg: Callable[..., None],
    tmp_path: Path,
    conform: str,
    window: TrimWindow | None,
    seconds: int | None,
) -> None:
    clip = tmp_path / "36_seconds.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=360x360:r=5:d=36", "-pix_fmt", "yuv420p", clip)
    checked = engine.check(order(video=VideoFile(clip, window), conform=ConformMode(conform))).result(30)
    assert not checked.ok
    assert (checked.price and checked.price.seconds) == seconds


def test_a_part_that_is_refused_for_something_else_has_the_price_of_the_part(
    engine: Any, order: Callable[..., Any], ffmpeg: Callable[..., None], tmp_path: Path
) -> None:
    clip = tmp_path / "tiny.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=100x100:r=10:d=12", "-pix_fmt", "yuv420p", clip)
    checked = engine.check(order(video=VideoFile(clip, TrimWindow(2, 4)))).result(30)
    assert [violation.rule for violation in checked.violations] == ["video.side.min"]
    assert checked.price.seconds == 4
