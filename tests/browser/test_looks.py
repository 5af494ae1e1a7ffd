"""Both renderers, themes, languages and sizes: a picture of each, nothing in the console, nothing for axe."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
AXE = Path(os.environ.get("AXE_PATH", ROOT / "node_modules" / "axe-core" / "axe.min.js"))
"""`npm ci` puts it there."""
SETTINGS = {
    "classic": {"Comfy.VueNodes.Enabled": False},
    "nodes2": {"Comfy.VueNodes.Enabled": True},
    "dark": {"Comfy.ColorPalette": "dark"},
    "light": {"Comfy.ColorPalette": "light"},
    "en": {"Comfy.Locale": "en"},
    "zh": {"Comfy.Locale": "zh"},
}
PAIRS = [
    ("classic", "dark", "en"),
    ("classic", "light", "zh"),
    ("nodes2", "light", "en"),
    ("nodes2", "dark", "zh"),
]
"""Every two of renderer, theme and language together once."""
WORDS = {"en": ("Hold live submissions", "take"), "zh": ("暂停付费提交", "kling-v2-6")}


FILLED = {
    "elements": ".kling-once-elements li",
    "account": ".kling-once-tasks li",
    "totals": ".kling-once-table",
    "setup": "form",
    "help": ".kling-once-table",
}
"""What each view holds once it is filled."""
OUTSIDE = """selector => {
  const panel = document.querySelector(selector);
  const edge = Math.min(window.innerWidth, panel.getBoundingClientRect().right) + 1;
  const isCut = one => one.getBoundingClientRect().right > edge
    || one.children.length === 0 && one.scrollWidth > one.clientWidth + 1
      && !/ellipsis/.test(getComputedStyle(one).textOverflow) && getComputedStyle(one).display !== "inline";
  return [...panel.querySelectorAll("*")].filter(one => one.checkVisibility() && isCut(one))
    .map(one => one.outerHTML.slice(0, 160));
}"""
"""Returns what of a panel lies outside of it or of the window, or is cut off without an ellipsis."""


@pytest.fixture(autouse=True)
def as_it_was(comfy: Any) -> Any:
    yield
    usual = SETTINGS["classic"] | SETTINGS["dark"] | SETTINGS["en"]
    comfy.post("/settings", usual)


@pytest.fixture(scope="module")
def made(comfy: Any, inputs: Path, sandbox: Any) -> None:
    """Have a task that is done and one that failed in the list."""
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "character.png"}},
        "2": {"class_type": "LoadVideo", "inputs": {"file": "motion.mp4"}},
        "3": {
            "class_type": "KlingOnce_MotionControl",
            "inputs": {
                "image": ["1", 0],
                "motion_source": "video",
                "motion_source.video": ["2", 0],
                "project": "looks",
            },
        },
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "kling", "format": "auto", "codec": "auto"},
        },
    }
    sandbox.script("create", "task-failed")
    assert not comfy.run(prompt).ok
    prompt["3"]["inputs"]["take"] = 1
    assert comfy.run(prompt).ok


def check(page: Any, selector: str) -> list[str]:
    """Return what axe finds serious within an element."""
    if not AXE.exists() and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, and axe-core is not at {AXE} (npm ci, or AXE_PATH)")
    if not AXE.exists():
        pytest.skip(f"axe-core is not at {AXE} (npm ci, or AXE_PATH)")
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = page.evaluate("async selector => (await axe.run(selector)).violations", selector)
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)], ids=["1280x720", "1920x1080"])
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("renderer", ["classic", "nodes2"])
def test_the_panel_and_the_node_look_right(
    comfy: Any,
    made: None,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    renderer: str,
    theme: str,
    language: str,
    size: tuple[int, int],
) -> None:
    settings = SETTINGS[renderer] | SETTINGS[theme] | SETTINGS[language]
    seen = screen(comfy.url, size=size, settings=settings)
    seen.open_template("1 motion control")
    seen.look_at()
    tasks = seen.tasks()
    tasks.wait_for("kept")
    tasks.page.get_by_role("button", name=WORDS[language][0]).wait_for()
    seen.wait_for_strip(".*(free|免费)")
    if renderer == "nodes2":
        node = seen.page.locator("[data-node-id]").filter(has_text=WORDS[language][1]).first
        node.get_by_text(re.compile("free|免费")).first.wait_for()
    shot(seen, f"look-{renderer}-{theme}-{language}-{size[0]}")
    assert check(seen.page, ".kling-once-panel") == []


@pytest.mark.parametrize(("renderer", "theme", "language"), PAIRS)
def test_axe_finds_nothing_serious_in_any_view_and_the_settings(
    comfy: Any,
    made: None,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    renderer: str,
    theme: str,
    language: str,
) -> None:
    seen = screen(comfy.url, settings=SETTINGS[renderer] | SETTINGS[theme] | SETTINGS[language])
    seen.open_template("1 motion control")
    tasks = seen.tasks()
    found = {}
    tasks.open(tasks.wait_for("kept"))
    found["task"] = check(seen.page, ".kling-once-panel")
    for view in ("elements", "account", "totals", "setup", "help"):
        tasks.show(view)
        seen.page.wait_for_selector(".kling-once-content > section")
        seen.page.wait_for_load_state("networkidle")
        shot(seen, f"view-{view}-{theme}-{language}")
        found[view] = check(seen.page, ".kling-once-panel")
    seen.command("kling_once.checkNode")
    seen.page.locator(".kling-once-verdict").wait_for()
    shot(seen, f"view-check-{theme}-{language}")
    found["check"] = check(seen.page, ".kling-once-panel")
    seen.keys()
    shot(seen, f"view-keys-{theme}-{language}")
    found["keys"] = check(seen.page, ".kling-once-keys")
    assert [line for lines in found.values() for line in lines] == []


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 720)], ids=["390x844", "1280x720"])
def test_every_view_and_the_settings_fit_a_phone_and_a_small_screen(
    comfy: Any,
    made: None,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    size: tuple[int, int],
    language: str,
) -> None:
    seen = screen(comfy.url, size=size, settings=SETTINGS["classic"] | SETTINGS["dark"] | SETTINGS[language])
    seen.open_template("1 motion control")
    tasks = seen.tasks()
    tasks.wait_for("kept")
    found = {}

    def look(name: str, selector: str = ".kling-once-panel") -> None:
        shot(seen, f"{name}-{language}-{size[0]}")
        found[name] = seen.page.evaluate(OUTSIDE, selector)

    look("tasks")
    tasks.open(tasks.wait_for("kept"))
    look("task")
    for view, shown in FILLED.items():
        tasks.show(view)
        seen.page.locator(f".kling-once-content > section {shown}").first.wait_for()
        look(view)
    seen.command("kling_once.checkNode")
    seen.page.locator(".kling-once-verdict").wait_for()
    look("check")
    seen.command("Workspace.ToggleSidebarTab.kling-once")
    if size[0] < 500:
        settings_on_a_phone(seen)
    else:
        seen.keys()
    look("keys", ".kling-once-keys")
    assert {name: lines for name, lines in found.items() if lines} == {}


def settings_on_a_phone(seen: Any) -> None:
    """Open our group of the settings dialog, whose groups are behind a button on a narrow screen."""
    seen.command("Comfy.ShowSettingsDialog")
    seen.page.locator("button:has(i[class*='lucide--panel-left]'])").last.click()
    seen.page.get_by_text("Kling Once", exact=True).last.click()
    seen.page.locator("button:has(i[class*='panel-left-close'])").last.click()
    seen.page.wait_for_selector(".kling-once-keys")
    seen.page.wait_for_timeout(600)  # the groups slide away
