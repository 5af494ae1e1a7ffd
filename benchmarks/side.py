"""One side of a comparison, in a process of its own: `side.py ours|core|loop decode|encode CLIP OUT`.

Prints one line of JSON. `core` is ComfyUI's own code and runs under ComfyUI's interpreter; `loop` is the
plain PyAV loop that everybody writes first, for machines without ComfyUI.
"""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from peak import watched

SAMPLE_EVERY = 15
"""Every how many frames the picture is compared."""


def main() -> None:
    """Run what the command line says."""
    side, work, clip, out = sys.argv[1:5]
    sys.argv = [sys.argv[0], "--cpu"]
    decode, encode = {"ours": ours, "core": core, "loop": loop}[side]()
    told = measure_decode(decode, clip, Path(out)) if work == "decode" else measure_encode(encode, clip, out)
    print(json.dumps(told))


def measure_decode(decode: Any, clip: str, out: Path) -> dict[str, float]:
    """Time the decoding and keep some frames for the comparison."""
    with watched() as peak:
        began, worked = time.perf_counter(), time.process_time()
        frames = decode(clip)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    tensor_bytes = frames.nelement() * frames.element_size()
    np.save(out, frames[::SAMPLE_EVERY].numpy())
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "frames": len(frames),
        "peak_bytes": peak.added_bytes,
        "tensor_bytes": tensor_bytes,
    }


def measure_encode(encode: Any, clip: str, out: str) -> dict[str, float]:
    """Time the encoding of frames that are in memory already."""
    frames, audio = source_frames(clip)
    with watched() as peak:
        began, worked = time.perf_counter(), time.process_time()
        encode(frames, audio, out)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "frames": len(frames),
        "peak_bytes": peak.added_bytes,
        "psnr_db": psnr_db(frames, out),
        "size_bytes": Path(out).stat().st_size,
    }


def source_frames(clip: str) -> tuple[Any, dict[str, Any]]:
    """Return the clip as ComfyUI's IMAGE and AUDIO, the same on both sides."""
    import torch  # noqa: PLC0415 - after ComfyUI has set it up

    with av.open(clip) as container:
        stream = container.streams.video[0]
        values = np.empty((stream.frames, stream.height, stream.width, 3), np.float32)
        for number, frame in enumerate(container.decode(stream)):
            np.clip(frame.to_ndarray(format="gbrpf32le"), 0, 1, out=values[number])
    seconds = len(values) / float(stream.average_rate or 30)
    wave = np.sin(np.arange(round(48000 * seconds), dtype=np.float32) * 0.05)[None, None].repeat(2, 1)
    return torch.from_numpy(values), {"waveform": torch.from_numpy(wave * 0.3), "sample_rate": 48000}


def psnr_db(frames: Any, path: str) -> float:
    """Return the peak signal-to-noise ratio of a written clip's RGB against the frames."""
    errors = []
    with av.open(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % SAMPLE_EVERY == 0:
                shown = np.clip(frame.to_ndarray(format="gbrpf32le"), 0, 1)
                errors.append(float(np.mean((shown - frames[number].numpy()) ** 2)))
    return float(-10 * np.log10(np.mean(errors)))


def ours() -> tuple[Any, Any]:
    """Return how Kling Once decodes and encodes."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import torch  # noqa: F401, PLC0415 - imported before the clock starts, as in ComfyUI

    from kling_once.media.decode import decode_clip  # noqa: PLC0415
    from kling_once.media.encode import encode_frames  # noqa: PLC0415
    from kling_once.media.types import Frames  # noqa: PLC0415

    def encode(frames: Any, audio: dict[str, Any], out: str) -> None:
        encode_frames(Frames(frames, Fraction(30), audio), Path(out))

    return lambda clip: decode_clip(Path(clip)).frames, encode


def core() -> tuple[Any, Any]:
    """Return how ComfyUI's own code decodes and encodes; run in its folder by its interpreter."""
    sys.path.insert(0, str(Path.cwd()))
    import comfy.options  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing()
    from comfy_api.latest._input_impl import video_types  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    from comfy_api.latest._util import VideoComponents  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    def encode(frames: Any, audio: dict[str, Any], out: str) -> None:
        parts = VideoComponents(images=frames, audio=audio, frame_rate=Fraction(30))  # type: ignore[arg-type]
        video_types.VideoFromComponents(parts).save_to(out)

    return lambda clip: video_types.VideoFromFile(clip).get_components().images, encode


def loop() -> tuple[Any, Any]:
    """Return the plain PyAV loop."""
    import torch  # noqa: PLC0415

    def decode(clip: str) -> Any:
        with av.open(clip) as container:
            shown = container.decode(video=0)
            return torch.stack([torch.from_numpy(frame.to_ndarray(format="gbrpf32le")) for frame in shown])

    def encode(frames: Any, _audio: dict[str, Any], out: str) -> None:
        with av.open(out, "w") as output:
            stream = output.add_stream("libx264", rate=30)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for values in frames:
                pixels = (values * 255).clamp(0, 255).byte().numpy()
                output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            output.mux(stream.encode(None))

    return decode, encode


if __name__ == "__main__":
    main()
