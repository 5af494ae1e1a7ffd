from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from kling_once.errors import MediaStopped
from kling_once.media.survey import small_pictures, survey_clip
from tests.media.scenes import cut_scenes

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.media

X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-an")


@pytest.fixture
def three_cuts(clips: Any, real_clips: Path) -> Path:
    size = "scale=640:360,setsar=1"
    return clips.make(
        "three_cuts.mp4",
        *("-i", str(real_clips / "bigbuckbunny.mp4"), "-i", str(real_clips / "bikes.mp4")),
        "-filter_complex",
        f"[0:v]split=2[a][b];[a]trim=0:1.6,setpts=PTS-STARTPTS,{size}[w];"
        f"[1:v]trim=0:1.2,setpts=PTS-STARTPTS,{size}[x];[b]trim=4:5.2,setpts=PTS-STARTPTS,{size}[y];"
        f"testsrc2=s=640x360:r=25:d=1.2,setsar=1[z];[w][x][y][z]concat=n=4",
        *X264,
    )


def test_three_cuts_are_found_exactly(three_cuts: Path) -> None:
    assert survey_clip(three_cuts).cuts == pytest.approx((1.6, 2.8, 4.0))


def test_a_real_shot_has_none(real_clips: Path) -> None:
    assert survey_clip(real_clips / "bigbuckbunny.mp4").cuts == ()
    assert survey_clip(real_clips / "carphone_pristine.mp4").cuts == ()


def test_a_real_montage_has_the_cuts_that_ffmpeg_sees(real_clips: Path) -> None:
    assert survey_clip(real_clips / "bikes.mp4").cuts == pytest.approx((1.2, 3.04, 5.48, 7.48, 9.68))


STEADY = {
    "flash": "drawbox=c=white:t=fill:enable='between(n,50,52)'",
    "black_frame": "drawbox=c=black:t=fill:enable='eq(n,70)'",
    "lights_on": "eq=brightness=-0.35:enable='lt(n,60)'",
    "shaking": "crop=800:450:240+230*sin(n*0.6):135+130*cos(n*0.8)",
    "whip_pan": "crop=640:360:clip((n-60)*80\\,0\\,640):180",
    "fast_turns": "rotate=n*0.25",
}


@pytest.mark.parametrize("name", STEADY)
def test_what_is_no_cut_is_not_taken_for_one(name: str, clips: Any, real_clips: Path) -> None:
    path = clips.make(
        f"steady_{name}.mp4", "-i", str(real_clips / "bigbuckbunny.mp4"), "-vf", STEADY[name], *X264
    )
    assert survey_clip(path).cuts == ()


def test_looking_for_cuts_stops_when_asked(three_cuts: Path) -> None:
    with pytest.raises(MediaStopped):
        survey_clip(three_cuts, stop=lambda: True)


@pytest.mark.parametrize("form", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le"])
def test_greys_are_seen_alike_in_every_range_and_form(form: str, clips: Any) -> None:
    """A ramp from black to white; 4 levels are the rounding of a codec."""
    ramp = "nullsrc=s=640x360:r=10:d=1,format=gray,geq=lum='X*255/639'"
    path = clips.make(
        f"ramp_{form}.mp4", "-f", "lavfi", "-i", ramp, "-c:v", "libx264", "-crf", "4", "-pix_fmt", form
    )
    small, _damage = small_pictures(path)
    expected = np.broadcast_to(np.linspace(1, 254, 128), (72, 128))
    assert np.abs(small.pictures[0] - expected).max() <= 4


@pytest.mark.timeout(600)  # it makes and looks through all of them
def test_sixty_clips_are_told_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The table of `benchmarks/cuts.py`: precision and recall of at least 0.95, each cut to the hundredth."""
    folder = tmp_path_factory.mktemp("scenes")
    right, wrong, missed = [], [], []
    for scene in cut_scenes():
        found = list(survey_clip(scene.make(folder)).cuts)
        for cut in scene.cuts:
            near = [moment for moment in found if abs(moment - cut) <= scene.within_seconds]
            (right if near else missed).append((scene.name, cut))
            if near:
                found.remove(near[0])
        wrong += [(scene.name, moment) for moment in found]
    assert len(right) >= 0.95 * (len(right) + len(wrong)), wrong
    assert len(right) >= 0.95 * (len(right) + len(missed)), missed
