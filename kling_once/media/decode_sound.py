"""The sound of a clip without its picture."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from .container import check_stop, open_clip, sound_stream
from .decode import sound_format
from .memory import require_memory
from .probe import probe_clip
from .sound import SoundReader, longest_sound, sound_memory_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from .types import Stop


def decode_sound(path: Path, *, stop: Stop | None = None) -> dict[str, Any] | None:
    """Return ComfyUI's AUDIO, in step with the first picture, or None for a clip without sound.

    Raises:
        UnreadableMedia, MediaStopped: as `decode_clip`.
    """
    facts = probe_clip(path, stop=stop)
    if facts.sound is None:
        return None
    with open_clip(path) as container:
        stream = sound_stream(container)
        if stream is None:
            return None
        origin = Fraction(facts.picture_start_seconds).limit_denominator(1_000_000)
        seconds = longest_sound(facts)
        require_memory(
            sound_memory_bytes(facts, seconds),
            f"{float(seconds):.0f} s of sound",
            "Cut the clip, or use the video output.",
        )
        reader = SoundReader(stream, sound_format(stream), origin=origin, seconds=seconds)
        waves: list[np.ndarray] = []
        for packet in container.demux(stream):
            check_stop(stop)
            for wave in reader.read(packet):
                check_stop(stop)
                waves.append(wave)
            if reader.is_done:
                break
        waves.extend(reader.finish())
    if not waves:
        return None
    import torch  # noqa: PLC0415 - a plain install has no torch

    return {
        "waveform": torch.from_numpy(np.concatenate(waves, axis=1)[None]),
        "sample_rate": reader.form.rate_hz,
    }
