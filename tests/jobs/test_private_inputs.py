"""What the sandbox received of a picture and a clip that hold private data: the bytes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process import Process

SECRET = "secret-4711"
pytestmark = pytest.mark.process


def private_picture(source: Path, folder: Path, form: str) -> Path:
    target = folder / f"figure.{form}"
    image = Image.open(source)
    if form == "png":
        info = PngInfo()
        info.add_text("prompt", SECRET)
        info.add_text("workflow", SECRET)
        image.save(target, pnginfo=info)
        return target
    exif = Image.Exif()
    exif[0x010E] = SECRET
    exif.get_ifd(0x8825)[1] = "N"
    image.save(target, exif=exif, comment=SECRET.encode())
    return target


def private_clip(source: Path, folder: Path) -> Path:
    target = folder / "walk.mov"
    with av.open(str(source)) as clip, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(clip.streams.video[0])
        output.metadata.update(title=SECRET, comment=f"/home/{SECRET}", location="+52.5200+013.4050/")
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    return target


@pytest.mark.parametrize("conform", ["auto", "off"])
@pytest.mark.parametrize("form", ["png", "jpg"])
def test_private_data_do_not_reach_the_sandbox(
    form: str,
    conform: str,
    cli: Callable[..., Process],
    home: Path,
    small_picture: Path,
    small_clip: Path,
    tmp_path: Path,
) -> None:
    picture, clip = private_picture(small_picture, tmp_path, form), private_clip(small_clip, tmp_path)
    for path in (picture, clip):
        assert SECRET.encode() in path.read_bytes()
    ended = cli("run", picture, clip, "--json", "--conform", conform).end()
    assert ended.code == 0, ended.err + ended.out
    assert "Left out of what is sent" in ended.out
    received = [path.read_bytes() for path in (home / "sandbox").rglob("*") if path.is_file()]
    heads = {content[:4] for content in received} | {content[4:8] for content in received}
    assert {b"ftyp", b"\x89PNG" if form == "png" else b"\xff\xd8\xff\xe0"} <= heads
    for content in received:
        assert SECRET.encode() not in content
        assert b"+52.5200" not in content
