"""Bad input: one message with every violation, exit code 1, and not one request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty.mp4"
    path.touch()
    return path


@pytest.fixture
def truncated(tmp_path: Path, small_clip: Path) -> Path:
    path = tmp_path / "truncated.mp4"
    path.write_bytes(small_clip.read_bytes()[:-2000])
    return path


@pytest.fixture
def not_an_image(tmp_path: Path) -> Path:
    path = tmp_path / "figure.png"
    path.write_text("this is no picture")
    return path


def refused(kling: Any, sandbox: Any, *arguments: object) -> str:
    done = kling("run", *arguments, "--conform", "off")
    assert done.code == 1
    assert done.out == ""
    assert "Nothing was sent." in done.err
    assert sandbox.calls() == []
    return done.err


def test_missing_files(kling: Any, sandbox: Any, tmp_path: Path) -> None:
    said = refused(kling, sandbox, tmp_path / "gone.png", tmp_path / "gone.mp4")
    assert "2 to mend" in said
    assert "gone.png" in said
    assert "gone.mp4 does not exist" in said


def test_names_that_the_system_refuses(kling: Any, sandbox: Any, tmp_path: Path) -> None:
    said = refused(kling, sandbox, tmp_path / f"{'a' * 300}.png", tmp_path / f"{'b' * 300}.mp4")
    assert "a.png cannot be opened: File name too long" in said
    assert "b.mp4 cannot be opened: File name too long" in said


def test_not_an_image(kling: Any, sandbox: Any, not_an_image: Path, small_clip: Path) -> None:
    assert "is not a picture that can be read" in refused(kling, sandbox, not_an_image, small_clip)


def test_a_clip_for_an_image_and_an_image_for_a_clip(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    said = refused(kling, sandbox, small_clip, small_picture)
    assert "is not a picture that can be read" in said
    assert f"{small_picture.name} is a picture, not a clip" in said


def test_an_empty_file(kling: Any, sandbox: Any, small_picture: Path, empty: Path) -> None:
    assert "empty.mp4 is empty (0 bytes)" in refused(kling, sandbox, small_picture, empty)


def test_a_truncated_clip(kling: Any, sandbox: Any, small_picture: Path, truncated: Path) -> None:
    assert "truncated.mp4" in refused(kling, sandbox, small_picture, truncated)


def test_a_folder_for_a_file(kling: Any, sandbox: Any, tmp_path: Path, small_clip: Path) -> None:
    refused(kling, sandbox, tmp_path, small_clip)


def test_a_prompt_of_2501_characters(kling: Any, sandbox: Any, small_picture: Path, small_clip: Path) -> None:
    said = refused(kling, sandbox, small_picture, small_clip, "--prompt", "x" * 2501)
    assert "Prompt has 2501 characters; Kling takes 2500." in said


def test_an_image_of_299_px(
    kling: Any, sandbox: Any, picture_of: Callable[[int, int], Path], small_clip: Path
) -> None:
    said = refused(kling, sandbox, picture_of(299, 400), small_clip)
    assert "299 x 400 px" in said
    assert "at least 300 px" in said


LENGTHS = [
    # tenths of a second, orientation, what is said
    (29, "video", "2.9 s long; orientation 'video' allows 3 to 30 s"),
    (29, "image", "2.9 s long; orientation 'image' allows 3 to 10 s"),
    (101, "image", "10.1 s long; orientation 'image' allows 3 to 10 s"),
    (301, "video", "30.1 s long; orientation 'video' allows 3 to 30 s"),
]


@pytest.mark.parametrize(("tenths", "orientation", "said"), LENGTHS)
def test_a_clip_that_is_too_short_or_too_long(
    kling: Any, sandbox: Any, small_picture: Path, clip_of: Any, tenths: int, orientation: str, said: str
) -> None:
    assert said in refused(kling, sandbox, small_picture, clip_of(tenths), "--orientation", orientation)


def test_every_choice_that_kling_does_not_know(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    said = refused(
        kling,
        sandbox,
        *(small_picture, small_clip, "--model", "kling-v9", "--mode", "4k", "--orientation", "both"),
    )
    assert "model is 'kling-v9'; Kling knows: kling-v2-6, kling-v3." in said
    assert "mode is '4k'; Kling knows: std, pro." in said
    assert "character_orientation is 'both'; Kling knows: video, image." in said


@pytest.mark.parametrize("own_id", ["..", "a/b", "%2e", "a b", "ü", "x" * 65])
def test_an_id_of_ones_own_that_no_path_may_hold(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path, own_id: str
) -> None:
    said = refused(kling, sandbox, small_picture, small_clip, "--external-task-id", own_id)
    assert "may have 1 to 64 letters, digits, _ and -" in said


@pytest.mark.parametrize("element", ["..", "0", "-1", "9223372036854775808", "1e3", "٣"])
def test_an_element_that_is_no_number_of_kling(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path, element: str
) -> None:
    said = refused(kling, sandbox, small_picture, small_clip, "--element-id", element)
    assert "is not an element's number" in said


@pytest.mark.parametrize(
    "url", ["https://[", "http://clips.example/a.mp4", "ftp://a/b", "https://a b/c", "://"]
)
def test_a_clip_at_what_is_no_address(kling: Any, sandbox: Any, small_picture: Path, url: str) -> None:
    assert "Reference video's URL" in refused(kling, sandbox, small_picture, url)


@pytest.mark.parametrize("units", ["nan", "-1", "many", "Infinity", ""])
def test_a_spending_limit_that_is_none(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path, units: str
) -> None:
    assert "max_units is" in refused(kling, sandbox, small_picture, small_clip, f"--max-units={units}")


@pytest.mark.parametrize("take", ["-1", str(2**31), "9" * 30])
def test_a_take_that_nothing_can_hold(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path, take: str
) -> None:
    said = refused(kling, sandbox, small_picture, small_clip, "--take", take)
    assert f"take is {take}; it may be 0 to 2147483647." in said
    assert kling("check", small_picture, small_clip, "--take", take).code == 1


def test_a_callback_to_an_origin_that_nobody_allowed(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    said = refused(kling, sandbox, small_picture, small_clip, "--callback-url", "http://[oops")
    assert "KLING_ONCE_CALLBACK_ORIGINS" in said


def test_a_callback_is_named_without_the_password_in_it(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    url = "https://user:geheim@hooks.example:8443/geheim?token=geheim"
    said = refused(kling, sandbox, small_picture, small_clip, "--callback-url", url)
    assert "callback_url leads to 'hooks.example'" in said
    assert "geheim" not in said


@pytest.mark.parametrize("name", ["..", "/", "../../account/costs", "%2e", "%2e%2e", "", "a" * 5000])
def test_collecting_what_is_no_id(kling: Any, sandbox: Any, name: str) -> None:
    done = kling("collect", "--", name)
    assert done.code == 1
    assert "knows no job or task named" in done.err
    assert sandbox.calls() == []


def test_everything_wrong_at_once_is_told_at_once_by_a_real_process(
    kling_process: Any, sandbox: Any, picture_of: Callable[[int, int], Path], clip_of: Any
) -> None:
    done = kling_process(
        *("run", picture_of(299, 900), clip_of(101), "--orientation", "image", "--conform", "off"),
        *("--prompt", "x" * 2501, "--model", "kling-v9", "--take", "-1", "--element-id", "a"),
        *("--external-task-id", "..", "--callback-url", "https://x.example/", "--wait-minutes", "nan"),
        *("--max-units", "-1"),
    )
    assert done.code == 1
    assert done.out == ""
    fields = ("model", "Prompt", "take", "element_id", "external_task_id", "wait_minutes", "max_units")
    media = ("callback_url", "Reference image", "Reference video")
    assert all(field in done.err for field in fields + media)
    assert "11 to mend" in done.err
    assert sandbox.calls() == []


def test_check_lists_the_same_and_says_the_price_all_the_same(
    kling: Any, sandbox: Any, picture_of: Callable[[int, int], Path], clip_of: Any
) -> None:
    wrong = (picture_of(299, 400), clip_of(101), "--orientation", "image", "--conform", "off")
    done = kling("check", *wrong, "--json")
    assert done.code == 1
    assert [item["rule"] for item in done.json["violations"]] == ["image.side.min", "video.duration.max"]
    assert (done.json["seconds"], done.json["units"], done.json["usd"]) == (10.1, 5.0, 0.7)
    assert done.json["ok"] is False
    assert sandbox.calls() == []


def test_check_of_good_input_exits_with_0_and_sends_nothing(
    kling: Any, sandbox: Any, small_picture: Path, small_clip: Path
) -> None:
    done = kling("check", small_picture, small_clip, "--model", "kling-v3", "--mode", "pro", "--json")
    assert done.code == 0
    assert (done.json["ok"], done.json["seconds"], done.json["units"], done.json["usd"]) == (
        True,
        3.0,
        3.6,
        0.504,
    )
    assert sandbox.calls() == []


@pytest.mark.parametrize("video", ["", " "])
def test_an_empty_video_is_a_mistake_in_the_command(
    kling: Any, sandbox: Any, small_picture: Path, video: str
) -> None:
    done = kling("run", small_picture, video)
    assert done.code == 2
    assert "VIDEO" in done.err
    assert "it is empty" in done.err
    assert sandbox.calls() == []


def test_what_is_no_file(kling: Any, sandbox: Any, small_picture: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero", "/dev/fd/0"):
        said = refused(kling, sandbox, small_picture, path)
        assert "is a device or a pipe, not a file" in said
        assert "is a device or a pipe, not a file" in refused(kling, sandbox, path, small_picture)
