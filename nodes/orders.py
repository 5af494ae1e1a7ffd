"""A node's inputs as an order, and its VIDEO as a file or frames."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.media.types import Frames, TrimWindow
from ..kling_once.order import (
    Graph,
    Order,
    Service,
    Spender,
    VideoFile,
    VideoFrames,
    VideoUrl,
    read_setting,
    read_settings,
    refuse,
)
from . import host
from .graph import class_of, takers_of
from .host import InputImpl
from .inputs import FPS, FRAMES_SLOT, URL

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator

    from ..kling_once.order import ReferenceVideo
    from .node_run import NodeRun

COLLECT = "KlingOnce_CollectMotionControl"
LARGEST_DENOMINATOR = 1001
"""Of the frame rates that exist: 30000/1001 and the like."""
_WRITING = threading.Lock()
"""Items of a list, and nodes side by side, bring the same clip at the same time."""


async def order_of(node: Any, run: NodeRun, inputs: dict[str, Any]) -> Order:
    """Return the order that a run of a node stands for.

    Raises:
        InputRefused: the inputs cannot be an order.
    """
    _require_one_picture(inputs["image"])
    video = await _reference_video(inputs["motion_source"])
    settings, items = read_settings(inputs), len(run.items)
    return Order(
        image=inputs["image"],
        video=video,
        **settings,
        is_one_of_several=items > 1,
        image_name=run.file_name("image"),
        video_name=run.file_name("motion_source.video"),
        spender=Spender(run.prompt_id, run.node_id),
        graph=Graph(run.signature, run.workflow),
        kept_only=is_off(settings["service"]),
        decoded_items=items if _is_decoded(node, run) else 0,
    )


def is_off(service: str) -> bool:
    """Tell whether ComfyUI's --disable-api-nodes forbids to ask a service for anything."""
    return service == Service.KLING and host.paid_services_are_off()


def _is_decoded(node: Any, run: NodeRun) -> bool:
    """Tell whether something takes the frames of what is ordered, here or where it is collected."""
    types = node.RETURN_TYPES
    if len(types) > FRAMES_SLOT and types[FRAMES_SLOT] == "IMAGE":
        return bool(takers_of(run.prompt, run.node_id, FRAMES_SLOT))
    return any(
        class_of(run.prompt, taker) == COLLECT and takers_of(run.prompt, taker, FRAMES_SLOT)
        for taker in takers_of(run.prompt, run.node_id, 0)
    )


def _require_one_picture(image: Any) -> None:
    if image is None:
        refuse("image", "Nothing came over image.")
    if not hasattr(image, "shape"):
        refuse("image", f"image is a tensor, one picture as ComfyUI's IMAGE; a {type(image).__name__} came.")
    count = int(image.shape[0])
    if count == 0:
        refuse("image", "image is an empty batch.")
    if count > 1:
        refuse(
            "image",
            f"image is a batch of {count} pictures, and each would be a paid task. Put core's Rebatch Images"
            " with batch_size 1 before it to order one video for each, or pick one picture of the batch.",
        )


async def _reference_video(source: dict[str, Any]) -> ReferenceVideo:
    kind = source["motion_source"]
    if kind == "url":
        return VideoUrl(read_setting(URL, source.get("url")))
    if source.get(kind) is None:
        refuse(kind, f"Nothing came over motion_source.{kind}.")
    if kind == "frames":
        fps = Fraction(_fps(source)).limit_denominator(LARGEST_DENOMINATOR)
        return VideoFrames(Frames(source["frames"], fps, source.get("audio")))
    return await host.in_thread(clip_of, source["video"])


def _fps(source: dict[str, Any]) -> float:
    fps = read_setting(FPS, source.get("fps"))
    if fps <= 0:
        refuse("fps", f"fps is {fps:g}; it must be more than 0.")
    return fps


def clip_of(video: Any) -> VideoFile | VideoFrames:
    """Return a VIDEO without decoding it: its file and its trim, or the frames that it holds; blocking.

    Raises:
        DiskFull: a clip in memory cannot be written to ComfyUI's temp folder.
    """
    if isinstance(video, InputImpl.VideoFromComponents):
        parts = video.get_components()
        return VideoFrames(Frames(parts.images, Fraction(parts.frame_rate), parts.audio))
    source = video.get_stream_source()
    path = Path(source) if isinstance(source, (str, os.PathLike)) else _written(source)
    if not hasattr(video, "get_active_trim_window"):  # ComfyUI before 0.23: only saving honours a trim
        is_whole = video.get_duration() == InputImpl.VideoFromFile(str(path)).get_duration()
        return VideoFile(path if is_whole else _saved(video))
    start_seconds, duration_seconds = video.get_active_trim_window()
    if not start_seconds and not duration_seconds:
        return VideoFile(path)
    return VideoFile(path, TrimWindow(start_seconds, duration_seconds))


def _written(source: io.BytesIO) -> Path:
    """Write a clip in memory to a file named by its content; it stays until ComfyUI empties its folder."""
    with source.getbuffer() as data:
        digest = hashlib.sha256(data).hexdigest()
        with _part() as part:
            path = _named(part, digest)
            if not path.is_file():
                part.write_bytes(data)
                part.replace(path)
    return path


def _saved(video: Any) -> Path:
    with _part() as part:
        video.save_to(str(part))
        path = _named(part, hashlib.sha256(part.read_bytes()).hexdigest())
        if not path.is_file():
            part.replace(path)
    return path


def _named(part: Path, digest: str) -> Path:
    return part.with_name(f"clip_{digest[:32]}.mp4")


@contextmanager
def _part() -> Iterator[Path]:
    """Give a new file to write a clip to, one at a time; gone afterwards unless it was renamed.

    Raises:
        DiskFull: the temp folder takes no more.
    """
    with _WRITING:
        part = None
        try:
            handle, name = tempfile.mkstemp(".part.mp4", "clip_", host.temp_folder())
            os.close(handle)
            part = Path(name)
            yield part
        except OSError as error:
            raise host.temp_folder_full(error) from None
        finally:
            if part is not None:
                part.unlink(missing_ok=True)
