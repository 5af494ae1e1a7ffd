"""Every command and JSON of README and docs works as it is written, beside a stand-in for Kling."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageChops

from kling_once.accounts.profiles import read_profiles
from kling_once.settings import load_settings
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    path
    for path in (*ROOT.glob("README*.md"), *sorted((ROOT / "docs").rglob("*.md")))
    if "reference" not in path.parts and "```" in path.read_text(encoding="utf-8")
]
KEY = "..."
"""What documents write in place of a key."""
INSTALLATIONS = re.compile(r"(git clone|pip install|comfy node install|pytest\b|just )")
"""Lines that change the environment; `.ci/run` and the host lane install."""
SECONDS = 280


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture
def place(tmp_path: Path, small_picture: Path, small_clip: Path) -> Path:
    """Return a folder with the files that documents name."""
    folder = tmp_path / "place"
    for name in ("figure.png", "characters/one.png", "characters/two.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(small_picture.read_bytes() + name.encode())
    (folder / "dance.mp4").write_bytes(small_clip.read_bytes())
    (folder / "frames").mkdir()
    picture = Image.open(small_picture).convert("RGB").resize((360, 360))
    for number, name in enumerate(("front", "left", "right")):
        ImageChops.offset(picture, 40 * number, 0).save(folder / f"{name}.png")
    for number in range(80):
        ImageChops.offset(picture, 2 * number, 0).save(folder / "frames" / f"{number:04}.png")
    return folder


@pytest.fixture
def web(place: Path) -> Iterator[str]:
    """Serve the folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(place))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def as_here(text: str, addresses: dict[str, str]) -> str:
    """Return a script with the addresses of this test in place of those of the world."""
    for there, here in addresses.items():
        text = text.replace(there, here)
    return "\n".join(line for line in text.splitlines() if not INSTALLATIONS.match(line.strip()))


IN_CHINESE = ROOT / "README.zh.md"
"""`tests/test_readme.py` finds the same commands in it."""


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if blocks(path, "sh") and path != IN_CHINESE], ids=name_of
)
def test_every_command_runs(
    document: Path,
    sandboxes: Callable[..., Any],
    s3_port: int,
    place: Path,
    web: str,
    gateway_port: int,
    hermetic: None,
) -> None:
    vendor, s3 = sandboxes(api_key=KEY), f"http://127.0.0.1:{s3_port}"
    store = pytest.importorskip("botocore.session").get_session()
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": "us-east-1"}
    store.create_client("s3", endpoint_url=s3, **keys).create_bucket(Bucket="my-bucket")
    sandbox_port = free_port()
    addresses = {
        "https://clips.example.com": web,
        "https://tunnel.example.com": f"http://127.0.0.1:{gateway_port}",
        "https://ACCOUNT.r2.cloudflarestorage.com": s3,
        "--port 8190": f"--port {sandbox_port}",
        "127.0.0.1:8190": f"127.0.0.1:{sandbox_port}",
    }
    script = as_here("\n".join(blocks(document, "sh")), addresses)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KLINGAI_BASE_URL": vendor.origin,
        "KLING_ONCE_GATEWAY_PORT": str(gateway_port),
        "AWS_ENDPOINT_URL": s3,
        "AWS_ALLOW_HTTP": "true",
        "PS4": "+ ${SECONDS} s: ",
    }
    ended = subprocess.run(
        ["bash", "-euxc", f"{script}\nkill $(jobs -p) 2>/dev/null || true"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        process_group=0,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("document", [path for path in DOCUMENTS if blocks(path, "json")], ids=name_of)
def test_every_json_is_accepted(document: Path, hermetic: None, tmp_path: Path) -> None:
    for text in blocks(document, "json"):
        written = tmp_path / "written.json"
        written.write_text(text, encoding="utf-8")
        written.chmod(0o600)
        if "profiles" in json.loads(text):
            assert read_profiles(written)
        else:
            assert load_settings(**json.loads(text))
