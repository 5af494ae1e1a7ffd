from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.api.limits import Orientation
from kling_once.jobs.violations import clip_bounds
from kling_once.media.conform import conform_clip
from kling_once.media.tags import tag_mp4
from kling_once.media.types import ConformMode

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

TAGS = {"workflow": json.dumps({"nodes": ["Tänzer"]}), "prompt": json.dumps({"1": {"class_type": "Any"}})}
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-bf", "2", "-c:a", "aac")
SOURCE = ("-f", "lavfi", "-i", "testsrc2=s=352x480:r=25:d=3.2", "-f", "lavfi", "-i", "sine=d=3.2")


@pytest.fixture(params=["front", "end"])
def clip(request: pytest.FixtureRequest, clips: Any) -> Path:
    """Return a clip whose index lies at the front or at the end."""
    flags = ("-movflags", "+faststart") if request.param == "front" else ()
    return clips.make(f"index_{request.param}.mp4", *SOURCE, *X264, *flags)


def packets(path: Path) -> list[tuple[Any, ...]]:
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, p.dts, p.duration, bytes(p)) for p in container.demux()]


def test_tags_are_read_again_and_nothing_else_changes(clip: Path, tmp_path: Path) -> None:
    before, target = clip.read_bytes(), tmp_path / "tagged.mp4"
    assert tag_mp4(clip, target, TAGS)
    with av.open(str(target)) as container, av.open(str(clip)) as source:
        assert container.metadata == source.metadata | TAGS
    assert packets(target) == packets(clip)
    assert clip.read_bytes() == before
    tagged = target.read_bytes()
    start = tagged.index(b"udta") - 4
    size = int.from_bytes(tagged[start : start + 4], "big")
    assert len(tagged) - size == len(before), "one box more"
    assert tagged.replace(tagged[start : start + size], b"")[-1000:] == before[-1000:]


def test_a_file_of_another_form_is_left_alone(clips: Any, tmp_path: Path) -> None:
    fragmented = clips.make("fragmented.mp4", *SOURCE, *X264, "-movflags", "frag_keyframe+empty_moov")
    raw = tmp_path / "raw.mp4"
    raw.write_bytes(b"no video at all" * 100)
    for path in (fragmented, raw):
        assert not tag_mp4(path, tmp_path / "tagged.mp4", TAGS)
        assert not (tmp_path / "tagged.mp4").exists()


def test_a_disk_that_is_full_leaves_nothing_behind(clip: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kling_once.media.tags.shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space"):
        tag_mp4(clip, tmp_path / "tagged.mp4", TAGS)
    assert list(tmp_path.iterdir()) == []


def test_a_tagged_result_that_is_used_as_a_clip_is_sent_without_its_tags(clip: Path, tmp_path: Path) -> None:
    tagged, folder = tmp_path / "tagged.mp4", tmp_path / "sent"
    folder.mkdir()
    assert tag_mp4(clip, tagged, TAGS)
    sent = conform_clip(tagged, folder, clip_bounds(Orientation.VIDEO), mode=ConformMode.AUTO)
    assert not sent.is_original
    assert b"workflow" not in sent.path.read_bytes()
    assert b"class_type" not in sent.path.read_bytes()
    assert any("workflow" in line for line in sent.report)
