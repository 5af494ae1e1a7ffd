"""`--json` prints exactly one JSON object on standard output, whatever happens."""

from __future__ import annotations

import json
from typing import Any

import pytest

RESULT_FIELDS = {
    "job_key",
    "task_id",
    "external_task_id",
    "status",
    "path",
    "video_url",
    "watermark_url",
    "duration_seconds",
    "units",
    "units_estimated",
    "reused",
}


def test_a_run_has_every_documented_field(
    kling: Any, sandbox: Any, small_picture: Any, small_clip: Any
) -> None:
    done = kling("run", small_picture, small_clip, "--watermark", "--json")
    result = done.json
    assert set(result) >= RESULT_FIELDS
    assert (result["status"], result["reused"], result["duration_seconds"]) == ("kept", False, 3.0)
    assert (result["units"], result["units_estimated"]) == (1.5, 1.5)
    assert result["video_url"].startswith(sandbox.origin)
    assert result["watermark_url"].startswith(sandbox.origin)
    again = kling("run", small_picture, small_clip, "--watermark", "--json").json
    assert again["reused"] is True
    assert {name: again[name] for name in RESULT_FIELDS - {"reused"}} == {
        name: result[name] for name in RESULT_FIELDS - {"reused"}
    }


def test_every_command_without_a_job_prints_one_object(kling: Any, sandbox: Any) -> None:
    assert kling("jobs", "--json").json == {"jobs": []}
    assert kling("tasks", "--json").json == {"page": 1, "page_size": 30, "tasks": []}
    assert "home" in kling("doctor", "--json").json


def test_the_doctor_names_a_variable_that_sets_nothing(
    kling: Any, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unknown variables" not in kling("doctor", "--json").json
    monkeypatch.setenv("KLING_ONCE_MAX_UNIT_PER_DAY", "geheim")
    done = kling("doctor", "--json")
    found = done.json["unknown variables"]
    assert found["ok"] is False
    assert found["text"].startswith("KLING_ONCE_MAX_UNIT_PER_DAY: ")
    assert "geheim" not in done.text


def test_jobs_and_tasks_list_what_was_made_without_a_link(
    kling: Any, sandbox: Any, small_picture: Any, small_clip: Any
) -> None:
    made = kling("run", small_picture, small_clip, "--project", "spot", "--json").json
    (job,) = kling("jobs", "--project", "spot", "--json").json["jobs"]
    (task,) = kling("tasks", "--json").json["tasks"]
    assert job["task_id"] == task["task_id"] == made["task_id"]
    assert (job["state"], task["status"]) == ("kept", "succeed")
    assert "http" not in json.dumps([job, task])
    assert kling("jobs", "--project", "other", "--json").json == {"jobs": []}
    assert kling("jobs", "--since", "1d", "--json").json["jobs"] == [job]
    csv = kling("jobs", "--csv").out.splitlines()
    assert len(csv) == 2
    assert made["task_id"] in csv[1]


ERRORS = [
    (("run", "gone.png", "gone.mp4"), "InputRefused"),
    (("run", "gone.png", "gone.mp4", "-o", "/nowhere/x.mp4"), "SettingsError"),
    (("check", "gone.png", "gone.mp4", "--max-units", "many"), "InputRefused"),
    (("check", "gone.png", "gone.mp4", "--service", "kling", "--profile", "studio"), "UnknownProfile"),
    (("collect", ".."), "ResultGone"),
    (("jobs", "--since", "yesterday"), "SettingsError"),
    (("tasks", "--service", "kling"), "MissingCredentials"),
    (("store", "clean", "--older-than", ""), "SettingsError"),
]


@pytest.mark.parametrize(("arguments", "error"), ERRORS)
def test_an_error_is_one_object_too(kling: Any, sandbox: Any, arguments: Any, error: str) -> None:
    done = kling(*arguments, "--json")
    assert done.code == 1
    assert done.err == ""
    assert done.json["error"] == error
    assert done.json["message"]


MISUSED = [
    (("run", "figure.png"), "Missing argument", "kling-once run"),
    (("jobs", "--invent"), "--invent", "kling-once jobs"),
    (("tasks", "--page", "0"), "Invalid value for '--page'", "kling-once tasks"),
    (("tasks", "--service", "magic"), "Invalid value for '--service'", "kling-once tasks"),
    (("invent",), "invent", "kling-once"),
    (("store", "invent"), "invent", "kling-once store"),
    (("--log-level", "loud", "jobs"), "'loud'", "kling-once"),
]


@pytest.mark.parametrize(("arguments", "said", "command"), MISUSED)
def test_a_command_line_that_is_not_understood_is_told_in_one_object_too(
    kling: Any, arguments: Any, said: str, command: str
) -> None:
    done = kling(*arguments, "--json")
    assert (done.code, done.err) == (2, "")
    assert done.json["error"] == "UsageError"
    assert said in done.json["message"]
    assert done.json["hint"] == f"See '{command} --help'."


def test_help_is_help_with_json_too(kling: Any) -> None:
    done = kling("run", "--help", "--json")
    assert done.code == 0
    assert "Usage:" in done.out


@pytest.mark.process
def test_a_real_process_prints_nothing_else_with_the_log_at_debug(
    kling_process: Any, sandbox: Any, small_picture: Any, small_clip: Any
) -> None:
    done = kling_process("--log-level", "debug", "run", small_picture, small_clip, "--json")
    assert done.code == 0
    assert done.json["status"] == "kept"
    assert "DEBUG" in done.err


@pytest.mark.process
@pytest.mark.parametrize("sound", [True, False])
def test_the_demo_makes_a_video_as_long_as_its_clip_with_sound_only_when_asked(
    kling_process: Any, sound: bool, tmp_path: Any
) -> None:
    out = tmp_path / "demo.mp4"
    options = [] if sound else ["--no-keep-sound"]
    done = kling_process("demo", "-o", out, "--json", *options)
    assert done.code == 0, done.err
    assert done.json["duration_seconds"] == pytest.approx(4.0, abs=0.1)
    assert has_sound(out) is sound


def has_sound(path: Any) -> bool:
    import av  # noqa: PLC0415 - the only use

    with av.open(str(path)) as container:
        assert container.streams.video[0].frames > 0
        return bool(container.streams.audio)


def test_an_unknown_log_level_is_told(kling: Any) -> None:
    done = kling("--log-level", "loud", "jobs")
    assert done.code == 2
    assert "loud" in done.err
