"""The strip in eight states, in both renderers, themes and languages: a picture of each, nothing for axe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.screens import OF_TYPE, STRIP
from tests.browser.test_looks import PAIRS, SETTINGS, check

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"
TEXT = "$$node-text-preview"
WORDS = {
    "en": {
        "ready": "sandbox, free",
        "nothing wired": "Nothing is wired to image",
        "no key": "No key is stored",
        "no place": "The clip is a file on this machine",
        "over a cap": ".*would reserve 2 units",
        "on hold": "Live submissions are on hold",
        "running": "sandbox, free",
        "done": "free, would be 2 units",
    },
    "zh": {
        "ready": "沙盒，免费",  # noqa: RUF001 - Chinese signs
        "nothing wired": "image 没有连接",
        "no key": "尚未配置可用的密钥",
        "no place": "参考视频是本地文件",
        "over a cap": "这次会超过消费限额",
        "on hold": "付费提交已暂停",
        "running": "沙盒，免费",  # noqa: RUF001 - likewise
        "done": "免费，原价 2 积分",  # noqa: RUF001 - likewise
    },
}


@pytest.fixture(autouse=True)
def as_it_was(comfy: Any) -> Any:
    yield
    comfy.post("/kling_once/hold", {"held": False})
    comfy.post("/settings", SETTINGS["classic"] | SETTINGS["dark"] | SETTINGS["en"])


def disconnect(seen: Any) -> None:
    seen.page.evaluate(
        """type => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             for (const [slot, input] of node.inputs.entries()) if (input.link) node.disconnectInput(slot);
             document.dispatchEvent(new Event("change"));
           }""",
        MOTION,
    )


@pytest.mark.parametrize(("renderer", "theme", "language"), PAIRS)
def test_the_strip_looks_right_in_eight_states(
    comfy: Any,
    inputs: Path,
    sandbox: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    renderer: str,
    theme: str,
    language: str,
) -> None:
    settings = SETTINGS[renderer] | SETTINGS[theme] | SETTINGS[language] | {"Comfy.Minimap.Visible": False}
    seen = screen(comfy.url, settings=settings)
    words = WORDS[language]
    found: dict[str, list[str]] = {}

    def look(state: str) -> None:
        seen.wait_for_strip(f".*{words[state]}")
        seen.look_at(scale=1.0)
        seen.page.wait_for_timeout(400)  # a picture of a canvas that is drawn
        shot(seen, f"state-{state.replace(' ', '-')}-{renderer}-{theme}-{language}")
        found[state] = check(seen.page, ".kling-once-strip")

    seen.open_template("1 motion control")
    look("ready")
    seen.widget(MOTION, "service", "kling")
    look("no key")
    seen.widget(MOTION, "profile", "studio")
    look("no place")
    seen.widget(MOTION, "max_units", 1)
    look("over a cap")
    seen.widget(MOTION, "max_units", 0)
    comfy.post("/kling_once/hold", {"held": True})
    look("on hold")
    comfy.post("/kling_once/hold", {"held": False})
    seen.widget(MOTION, "service", "sandbox")
    seen.widget(MOTION, "profile", "")
    sandbox.tasks_take(seconds=6)
    seen.widget(MOTION, "take", 970 + PAIRS.index((renderer, theme, language)))
    seen.run()
    seen.page.wait_for_function(
        f"""([type, name]) => window.app.graph.nodes.find({OF_TYPE}).widgets
             .find(one => one.name === name)?.value?.includes("0:0")""",
        arg=[MOTION, TEXT],
        timeout=60_000,
    )
    look("running")
    seen.page.wait_for_function(
        f"""([type, text]) => ({STRIP})(window.app.graph.nodes.find({OF_TYPE}))
             .some(one => one.includes(text))""",
        arg=[MOTION, words["done"]],
        timeout=90_000,
    )
    look("done")
    disconnect(seen)
    look("nothing wired")
    assert {state: lines for state, lines in found.items() if lines} == {}
