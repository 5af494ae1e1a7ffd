"""The workflows of .github: pinned, least rights, and nothing in them that this repository does not have."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
JUSTFILE = (ROOT / "justfile").read_text(encoding="utf-8")
MAY_WRITE = {("publish.yml", "python-index"): {"id-token": "write"}}
"""Which job has more than reading, and what."""


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield path, name, job


def steps() -> Iterator[dict[str, Any]]:
    for _path, _name, job in jobs():
        yield from job.get("steps", [])
    for path in ACTIONS:
        yield from load(path)["runs"]["steps"]


def commands() -> str:
    return "\n".join(step["run"] for step in steps() if "run" in step)


def recipe(name: str) -> str:
    found = re.search(rf"^{name}\b.*:\n((?:    .*\n)+)", JUSTFILE, re.MULTILINE)
    assert found is not None, name
    return found[1]


def test_every_action_of_others_is_pinned_by_its_commit_and_says_its_version() -> None:
    lines = [
        line for path in (*WORKFLOWS, *ACTIONS) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    used = [line.split("uses:", 1)[1].strip() for line in lines if re.match(r"\s*(- )?uses:", line)]
    assert used
    foreign = [line for line in used if not line.startswith("./")]
    assert [
        line for line in foreign if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)
    ] == []
    ours = [ROOT / line.removeprefix("./") for line in used if line.startswith("./")]
    assert [path for path in ours if not path.exists()] == []


def test_one_action_has_one_version_everywhere() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in (*WORKFLOWS, *ACTIONS))
    pins = set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", texts))
    assert len(pins) == len({name for name, _ in pins})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}


def test_only_what_publishes_may_do_more_than_read() -> None:
    more = {(path.name, name): job["permissions"] for path, name, job in jobs() if "permissions" in job}
    assert more == MAY_WRITE


def test_every_job_ends_by_itself_and_keeps_no_token_in_the_checkout() -> None:
    assert [name for _, name, job in jobs() if "steps" in job and "timeout-minutes" not in job] == []
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_nothing_of_a_caller_stands_in_a_script() -> None:
    assert [line for line in commands().splitlines() if "${{" in line] == []


def test_every_recipe_and_marker_that_is_run_exists() -> None:
    recipes = set(re.findall(r"^([a-z][a-z-]*)(?: [^:\n]*)?:(?!=)", JUSTFILE, re.MULTILINE))
    named = set(re.findall(r"\bjust ([a-z-]+)", commands()))
    assert named
    assert named <= recipes
    markers = {line.split(":")[0] for line in PROJECT["tool"]["pytest"]["ini_options"]["markers"]}
    expressions = [
        *re.findall(r'pytest -m "?([a-z_ ]+)', JUSTFILE),
        load(GITHUB / "workflows" / "ci.yml")["env"]["FAST"],
    ]
    words = {word for text in expressions for word in text.split()} - {"and", "not", "or"}
    assert words <= markers


def test_the_fast_lane_is_that_of_the_justfile() -> None:
    fast = load(GITHUB / "workflows" / "ci.yml")["env"]["FAST"]
    assert f'pytest -m "{fast}"' in recipe("test")


def test_every_lane_and_every_declared_python_runs() -> None:
    ci = load(GITHUB / "workflows" / "ci.yml")["jobs"]
    matrix = ci["fast"]["strategy"]["matrix"]
    declared = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert matrix["python"] == declared
    assert {name.split("-")[0] for name in matrix["system"]} == {"ubuntu", "windows", "macos"}
    oldest = PROJECT["tool"]["comfy"]["requires-comfyui"].removeprefix(">=")
    assert ci["host"]["strategy"]["matrix"]["comfyui"] == [oldest, "newest"]
    lanes = set(re.findall(r"^(test-[a-z]+)", JUSTFILE, re.MULTILINE)) - {"test-all"}
    assert lanes <= set(re.findall(r"just (test-[a-z]+)", commands()))


def test_every_gate_runs() -> None:
    gates = {"types", "js", "dead-code", "site", "workflows", "coverage", "fuzz", "mutate"}
    assert gates <= set(re.findall(r"just ([a-z-]+)", commands()))
    assert "pip-audit" in commands()


@pytest.mark.parametrize(
    ("job", "programs"),
    [
        ("lanes", {"ffmpeg", "postgresql"}),
        ("fleet", {"postgresql", "pgbouncer"}),
        ("browser", {"ffmpeg", "nginx"}),
    ],
)
def test_a_lane_has_the_programs_without_which_it_fails(job: str, programs: set[str]) -> None:
    """What a test only skips elsewhere, REQUIRE_... makes a failure there."""
    steps_of_job = load(GITHUB / "workflows" / "ci.yml")["jobs"][job]["steps"]
    installed = re.findall(r"apt-get install (.*)", "\n".join(step.get("run", "") for step in steps_of_job))
    assert programs == {word for line in installed for word in line.split() if not word.startswith("-")}


def test_every_ecosystem_is_kept_up_to_date() -> None:
    updates = load(GITHUB / "dependabot.yml")["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "pip", "npm"}
    actions = next(update for update in updates if update["package-ecosystem"] == "github-actions")
    ours = {f"/{path.parent.relative_to(ROOT).as_posix()}" for path in ACTIONS}
    assert set(actions["directories"]) == {"/", *ours}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_form_asks_for_the_doctor_and_never_for_a_key(path: Path) -> None:
    form = load(path)
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    texts = [str(field["attributes"]) for field in fields]
    assert any("kling-once doctor --json" in text for text in texts)
    (warning,) = (field["attributes"]["value"] for field in form["body"] if field["type"] == "markdown")
    assert "Never paste a key" in warning
    assert not [text for text in texts if re.search(r"your (API )?key|credentials\.json", text)]


def test_what_is_linted_offline_is_clean() -> None:
    program = shutil.which("zizmor", path=str(Path(sys.executable).parent)) or shutil.which("zizmor")
    if program is None:
        pytest.skip("zizmor is not installed: pip install kling-once[dev]")
    asked = [program, "--offline", "--no-progress", "--color=never", str(GITHUB)]
    ended = subprocess.run(asked, capture_output=True, text=True, encoding="utf-8", check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
