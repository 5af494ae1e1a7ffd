"""Count the frames of a clip that are announced but cannot be decoded, or only in part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Violation
from .bounds import clock

if TYPE_CHECKING:
    from fractions import Fraction

    from av.packet import Packet
    from av.video.frame import VideoFrame

_MOST_LOST = 0.02  # of all frames
_MOST_LOST_SECONDS = 0.5  # in a row
_SHOWN_SPANS = 3
_EMPTY_BYTES = 8  # a packet of MPEG-4 that only repeats the frame before
_SAME = 0.51  # of a frame's time: a second field has its own packet


@dataclass(frozen=True, slots=True)
class Damage:
    """The frames of a clip that are lost: missing, or shown with damage until the next key frame."""

    frame_count: int
    """Announced by packets."""
    lost: int = 0
    spans: tuple[tuple[float, float], ...] = ()
    """Start and end in seconds after the first frame; empty where the packets have no times."""
    longest_seconds: float = 0.0

    @property
    def is_too_much(self) -> bool:
        """Tell whether more than 2 % is lost, or half a second in a row."""
        return self.lost > _MOST_LOST * self.frame_count or self.longest_seconds >= _MOST_LOST_SECONDS

    def sentence(self, name: str) -> str:
        """Return what is lost, for people."""
        shown = ", ".join(f"{clock(start)}-{clock(end)}" for start, end in self.spans[:_SHOWN_SPANS])
        more = f" and {len(self.spans) - _SHOWN_SPANS} more" if len(self.spans) > _SHOWN_SPANS else ""
        at = f" (at {shown}{more})" if shown else ""
        verb = "is" if self.lost == 1 else "are"
        return f"{self.lost} of the {self.frame_count} frames of {name} {verb} missing or damaged{at}."

    def violations(self, name: str) -> tuple[Violation, ...]:
        """Return the violation, if the clip cannot be used."""
        if not self.is_too_much:
            return ()
        message = (
            f"{self.sentence(name)} At most {_MOST_LOST:.0%} may be, and less than {_MOST_LOST_SECONDS:g} s"
            " in a row: the download may be incomplete. Download, copy or export the clip again."
        )
        return (Violation("video", "video.damaged", message),)


@dataclass(slots=True)
class FrameCount:
    """What went into a decoder, and what came out."""

    sent: list[tuple[int | None, bool]] = field(default_factory=list)
    """Presentation time and whether it is a key frame, of each packet."""
    shown: list[tuple[int | None, bool]] = field(default_factory=list)
    """Presentation time and whether it is whole, of each frame."""

    def send(self, packet: Packet, time: int | None) -> None:
        """Note a packet that is decoded, and when its frame is to be shown."""
        if packet.size > _EMPTY_BYTES and not packet.is_discard:
            self.sent.append((time, packet.is_keyframe))

    def show(self, frame: VideoFrame) -> None:
        """Note a frame that was decoded."""
        self.shown.append((frame.pts, not frame.is_corrupt))

    def damage(self, time_base: Fraction, *, start: int | None = None, is_whole: bool = True) -> Damage:
        """Return what is lost.

        Args:
            time_base: Seconds of one unit of time.
            start: The time before which nothing is needed.
            is_whole: All packets were decoded; else what comes after the last frame is not looked at.
        """
        if any(time is None for time, _ in self.sent):
            lost = max(0, len(self.sent) - sum(whole for _, whole in self.shown))
            return Damage(len(self.sent), lost if is_whole else 0)
        sent = np.array(sorted(self.sent), np.int64).reshape(-1, 2)
        begins_late = bool(self.sent) and not self.sent[0][1]  # a recording from between two key frames
        shown = np.array(sorted((time, whole) for time, whole in self.shown if time is not None), np.int64)
        shown = shown.reshape(-1, 2)
        low = start if start is not None else sent[:1, 0].min(initial=0)
        if begins_late and len(shown):
            low = max(low, shown[0, 0])
        sent = sent[sent[:, 0] >= low]
        if not is_whole and len(shown):
            sent = sent[sent[:, 0] <= shown[-1, 0]]
        is_lost = self._lost(sent, shown)
        if not is_lost.any():
            return Damage(len(sent))
        step = float(np.median(np.diff(sent[:, 0]))) if len(sent) > 1 else 1.0
        edges = np.flatnonzero(np.diff(np.r_[0, is_lost, 0]))
        ends = np.r_[sent[:, 0], sent[-1, 0] + step]
        seconds = [(float((ends[at] - sent[0, 0]) * time_base)) for at in edges]
        spans = tuple(zip(seconds[::2], seconds[1::2], strict=True))
        return Damage(len(sent), int(is_lost.sum()), spans, max(end - begin for begin, end in spans))

    def _lost(self, sent: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Return for each packet whether its frame is missing, or damaged like one that it is predicted from.

        Args:
            sent: (N, 2) presentation time and whether it is a key frame, by time.
            shown: (M, 2) presentation time and whether it is whole, by time.
        """
        if not len(shown) or not len(sent):
            return np.ones(len(sent), bool)
        steps = np.diff(shown[:, 0] if len(shown) > len(sent) / 2 else sent[:, 0])
        near = np.abs(sent[:, :1] - shown[_nearest(shown[:, 0], sent[:, 0]), :1])[:, 0]
        is_lost = near > _SAME * float(np.median(steps)) if steps.size else near > 0
        keys = sent[sent[:, 1] > 0, 0]
        for time in shown[shown[:, 1] == 0, 0]:
            until = keys[keys > time].min(initial=np.iinfo(np.int64).max)
            is_lost |= (sent[:, 0] >= time) & (sent[:, 0] < until)
        return is_lost


def _nearest(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    after = np.clip(np.searchsorted(values, wanted), 0, len(values) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(values[before] - wanted) <= np.abs(values[after] - wanted), before, after)
