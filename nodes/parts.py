"""Split Video and Join Videos: a clip longer than the limit becomes parts, and their results one video."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..kling_once import order
from ..kling_once.api.limits import Orientation
from ..kling_once.api.motion_control import Setting
from ..kling_once.order import read_setting, refuse
from . import host
from .host import InputImpl, VideoComponents, io, ui
from .node_run import HIDDEN, NodeRun, Skipped, as_run
from .orders import CATEGORY, SETTINGS, clip_of, setting_inputs, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..kling_once.media.join import Piece
    from ..kling_once.media.split import Division, Part
    from ..kling_once.media.types import Stop

SPLIT = (
    SETTINGS["character_orientation"],
    Setting(
        name="most_seconds",
        default=0.0,
        minimum=0,
        maximum=30,
        step=0.01,
        tip="The longest that a part may be. 0 is the limit of the orientation: 30 s, or 10 s with image.",
    ),
    Setting(
        name="overlap",
        default=0.0,
        minimum=0,
        maximum=10,
        step=0.01,
        tip="Seconds that a part shows again of the one before it; Kling Once Join Videos leaves them out."
        " They are paid twice.",
    ),
)
OVERLAP = Setting(
    name="overlap",
    default=0.0,
    minimum=0,
    maximum=10,
    step=0.01,
    tip="Seconds to leave out at the beginning of each video but the first."
    " Wire it to overlap of Kling Once Split Video.",
)


class SplitVideo(io.ComfyNode):
    """Divide a clip into parts that Kling takes; free."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_SplitVideo",
            display_name="Kling Once Split Video",
            category=CATEGORY,
            description="Divides a video that is too long for motion control into as few parts as fit, at"
            " changes of shot and where least moves. Free. Each part becomes one task of Kling Once Motion"
            " Control; Kling Once Join Videos makes one video of the results.",
            search_aliases=["kling", "long video", "split video", "cut video", "parts", "dance"],
            inputs=[
                io.Video.Input("video", tooltip="Up to 10 minutes; a trim is honoured."),
                *setting_inputs(SPLIT),
            ],
            outputs=[
                io.Video.Output(
                    display_name="parts",
                    is_output_list=True,
                    tooltip="One video of at least 3 s for each part: what is wired here runs once for each.",
                ),
                io.Float.Output(
                    display_name="overlap",
                    is_output_list=True,
                    tooltip="For each part, how much of it the one before shows too."
                    " For Kling Once Join Videos.",
                ),
                io.String.Output(display_name="report", tooltip="Where the parts begin and end."),
            ],
            hidden=list(HIDDEN),
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        video = inputs.get("video")
        if video is None:
            refuse("video", "Nothing came over video.")
        division, parts = await host.decoding(_divided, video, values_of(SPLIT, inputs))
        report = "\n".join(division.report)
        await run.end(report)
        overlaps = [float(part.overlap_seconds) for part in division.parts]
        return io.NodeOutput(parts, overlaps, report)


class JoinVideos(io.ComfyNode):
    """Join videos into one; free."""

    @classmethod
    def define_schema(cls) -> Any:
        """Describe the node."""
        return io.Schema(
            node_id="KlingOnce_JoinVideos",
            display_name="Kling Once Join Videos",
            category=CATEGORY,
            description="Joins the videos of a list into one, with their sound; nothing is encoded anew where"
            " they are of one form. Free. A video whose task failed, with on_failure 'skip', is left out and"
            " named.",
            search_aliases=["kling", "long video", "join videos", "concatenate", "merge video", "dance"],
            is_input_list=True,
            inputs=[
                io.Video.Input("videos", tooltip="A list of videos, in their order."),
                *setting_inputs([OVERLAP]),
            ],
            outputs=[
                io.Video.Output(display_name="video"),
                io.String.Output(
                    display_name="report", tooltip="What was joined, and which part is missing and why."
                ),
            ],
            hidden=list(HIDDEN),
        )

    @classmethod
    @as_run
    async def execute(cls, run: NodeRun, inputs: dict[str, Any]) -> Any:
        """Run the node."""
        videos = list(inputs.get("videos") or [])
        given = inputs.get(OVERLAP.name) or [OVERLAP.default]
        overlaps = [read_setting(OVERLAP, overlap) for overlap in given]
        _require_videos(videos)
        made = await host.decoding(_joined, videos, _overlap_of_each(overlaps, videos))
        await run.end(made.report)
        return io.NodeOutput(made.video, made.report, ui=made.player)


@dataclass(frozen=True)
class _Made:
    video: Any
    report: str
    player: Any


def _divided(video: Any, values: dict[str, Any], *, stop: Stop) -> tuple[Division, list[Any]]:
    from ..kling_once.jobs.violations import clip_bounds  # noqa: PLC0415 - nothing heavy before a node runs
    from ..kling_once.media.split import split_clip  # noqa: PLC0415 - likewise

    clip = clip_of(video)
    in_memory = isinstance(clip, order.VideoFrames)
    division = split_clip(
        clip.frames if in_memory else clip.path,
        clip_bounds(Orientation(values["character_orientation"])),
        window=None if in_memory else clip.window,
        most_seconds=values["most_seconds"],
        overlap_seconds=values["overlap"],
        stop=stop,
    )
    if len(division.parts) == 1:
        return division, [video]
    return division, [_part_of(clip, part) for part in division.parts]


def _part_of(clip: Any, part: Part) -> Any:
    """Return a part as a VIDEO; nothing is encoded or copied for it."""
    if isinstance(clip, order.VideoFile):
        start, seconds = float(part.start_seconds), float(part.seconds)
        return InputImpl.VideoFromFile(str(clip.path), start_time=start, duration=seconds)
    from ..kling_once.media.sound import sound_part  # noqa: PLC0415 - nothing heavy before a node runs

    frames = clip.frames
    first, last = (round(at * frames.fps) for at in (part.start_seconds, part.end_seconds))
    audio = sound_part(frames.audio, part.start_seconds, part.seconds)
    components = VideoComponents(images=frames.frames[first:last], frame_rate=frames.fps, audio=audio)
    return InputImpl.VideoFromComponents(components)


def _require_videos(videos: Sequence[Any]) -> None:
    if not videos or any(video is None for video in videos):
        refuse("videos", "Nothing came over videos.")
    reasons = [video.why for video in videos if isinstance(video, Skipped)]
    if len(reasons) == len(videos):
        refuse("videos", f"Every part is missing. {reasons[0]}")


def _overlap_of_each(overlaps: list[float], videos: Sequence[Any]) -> list[float]:
    """Return how much is left out of each video; nothing where the one before it is missing."""
    if len(overlaps) == 1:
        overlaps = [0.0, *overlaps * (len(videos) - 1)]
    if len(overlaps) != len(videos):
        refuse(
            "overlap",
            f"overlap holds {len(overlaps)} numbers for {len(videos)} videos."
            " Wire it to the Kling Once Split Video that the parts come from.",
        )
    is_shown = [False, *(not isinstance(video, Skipped) for video in videos)]
    return [overlap if shown else 0.0 for overlap, shown in zip(overlaps, is_shown, strict=False)]


def _joined(videos: Sequence[Any], overlaps: Sequence[float], *, stop: Stop) -> _Made:
    from ..kling_once.media.bounds import clock  # noqa: PLC0415 - nothing heavy before a node runs
    from ..kling_once.media.join import join_clips  # noqa: PLC0415 - likewise

    pieces = [
        _piece(video, overlap, stop)
        for video, overlap in zip(videos, overlaps, strict=True)
        if not isinstance(video, Skipped)
    ]
    path = host.temp_folder() / f"joined_{_digest(pieces)}.mp4"
    part = path.with_suffix(".part")
    try:
        joined = join_clips(pieces, part, stop=stop)
        part.replace(path)
    except OSError as error:
        raise host.temp_folder_full(error) from None
    missing = [
        f"Part {number} of {len(videos)} is missing: {video.why}"
        for number, video in enumerate(videos, 1)
        if isinstance(video, Skipped)
    ]
    length, seconds = clock(float(joined.seconds)), f"{float(joined.seconds):.2f}"
    head = f"Joined {len(videos)} videos: {length} ({seconds} s)."
    if missing:
        head = f"Joined {len(pieces)} of {len(videos)} videos: {length} ({seconds} s)."
    player = ui.PreviewVideo([ui.SavedResult(path.name, path.parent.name, io.FolderType.temp)])
    report = "\n".join([head, *missing, *joined.report])
    return _Made(InputImpl.VideoFromFile(str(path)), report, player)


def _piece(video: Any, overlap: float, stop: Stop) -> Piece:
    from ..kling_once.media.digest import frames_digest  # noqa: PLC0415 - nothing heavy before a node runs
    from ..kling_once.media.encode import encode_frames  # noqa: PLC0415 - likewise
    from ..kling_once.media.join import Piece  # noqa: PLC0415 - likewise

    clip = clip_of(video)
    if isinstance(clip, order.VideoFile):
        return Piece(clip.path, clip.window, overlap)
    path = host.temp_folder() / f"frames_{frames_digest(clip.frames, stop=stop)[:32]}.mp4"
    if not path.is_file():
        part = path.with_suffix(".part")
        encode_frames(clip.frames, part, stop=stop)
        part.replace(path)
    return Piece(path, None, overlap)


def _digest(pieces: Sequence[Piece]) -> str:
    """Return what names the video that is joined of these, as their files are now."""
    described = [
        (str(piece.path), piece.path.stat().st_mtime_ns, piece.window, piece.overlap_seconds)
        for piece in pieces
    ]
    return hashlib.sha256(repr(described).encode()).hexdigest()[:32]
