"""`motion_source = url` tried free: the embedded sandbox fetches what the user typed."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import KlingOnceError
from kling_once.order import VideoUrl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "https://10.0.0.7/inside.mp4")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def served(small_clip: Path) -> Iterator[str]:
    """Return the origin of a server of this machine's that has the small clip."""
    handler = functools.partial(_Handler, directory=str(small_clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_of_this_machine_makes_a_video(
    engines: Callable[..., Any], order: Callable[..., Any], served: str, small_clip: Path
) -> None:
    outcome = engines().run(order(video=VideoUrl(f"{served}/{small_clip.name}"))).result(60)
    assert outcome.path.is_file()
    assert float(outcome.attempt.result_seconds) == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://10.0.0.7/dance.mp4", "private address"),
        ("{served}/moved", "private address"),
        ("file:///etc/passwd", "https://"),
        ("http://clips.example.com/dance.mp4", "https://"),
    ],
)
def test_what_leads_inside_is_refused_in_words(
    engines: Callable[..., Any], order: Callable[..., Any], served: str, url: str, words: str
) -> None:
    with pytest.raises(KlingOnceError, match=words):
        engines().run(order(video=VideoUrl(url.format(served=served)))).result(60)
