# ruff: noqa: RUF001 - Chinese has signs of its own
"""What the server says, in the page's language; another language is one file more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
MOTION, CHECK = "KlingOnce_MotionControl", "KlingOnce_CheckMotionControl"
UNDER_THE_NODE = """type => window.app.graph.nodes.find(one => one.comfyClass === type)
    .widgets.find(one => one.name === "$$node-text-preview")?.value"""
NEW = "fr"
"""A language of ComfyUI that has no file of ours; the invented one has only some of the words."""
NEW_WORDS = {
    "badge": {"sandbox": "fri sandkasse"},
    "rule": {"image_side_min": "Bildo {0} x {1}, minimumo {2}."},
    "said": {
        "kling_reports_that_the_task_failed_0_phrase": "Kling malsukcesis: {0}",
        "run_it_again_to_make_another_attempt_if_it_fails_once_more_change_an_input": "Provu denove.",
    },
}


@pytest.fixture(autouse=True)
def as_it_was(comfy: Any) -> Any:
    yield
    comfy.post("/settings", {"Comfy.Locale": "en"})


@pytest.fixture
def chinese(comfy: Any, inputs: Path, screen: Callable[..., Any]) -> Any:
    return screen(comfy.url, settings={"Comfy.Locale": "zh"})


def test_a_failure_of_kling_is_chinese_on_the_node(chinese: Any, sandbox: Any) -> None:
    sandbox.tasks_take(polls=0)
    sandbox.script("create", "task-failed")
    chinese.open_template("1 motion control")
    chinese.widget(MOTION, "take", 801)
    chinese.run()
    chinese.wait_for_strip(r"可灵报告任务失败：.* 任务 \d+。再次运行即可再试一次；如果又失败，请更改输入。$")
    assert chinese.page.evaluate(UNDER_THE_NODE, MOTION).startswith("可灵报告任务失败")


def test_what_a_run_came_to_is_chinese_on_the_node(chinese: Any, sandbox: Any) -> None:
    sandbox.tasks_take(polls=0)
    chinese.open_template("1 motion control")
    chinese.widget(MOTION, "take", 802)
    chinese.run()
    chinese.wait_for_strip("已生成，免费")
    text = chinese.page.evaluate(UNDER_THE_NODE, MOTION)
    assert text.startswith("已保存 | ")
    assert " | 免费（原价 2 积分） | 任务 " in text


def test_the_report_of_a_check_is_chinese_on_the_node(chinese: Any, inputs: Path) -> None:
    Image.new("RGB", (100, 100), "white").save(inputs / "tiny_zh.png")
    chinese.open_template("3 check before you pay")
    chinese.widget(CHECK, "conform", "off")
    chinese.widget("LoadImage", "image", "tiny_zh.png")
    chinese.run()
    report = chinese.page.locator(".kling-once-report")
    report.wait_for()
    lines = report.inner_text().splitlines()
    assert lines[:2] == [
        "会被拒绝；不会产生费用：",
        "- 参考图像为 100 x 100 px；每边至少 300 px。请使用更大的图像，或将自动适配（conform）设为 auto。",
    ]
    assert [line for line in lines if line.startswith("在可灵的价格：最多 ")]


def test_the_sockets_of_a_choice_are_chinese(chinese: Any) -> None:
    chinese.open_template("1 motion control")
    chinese.page.wait_for_function(
        """type => {
             const { label, localized_name } = window.app.graph.nodes
               .find(one => one.comfyClass === type).inputs.find(one => one.name === "motion_source.video");
             return (label ?? localized_name) === '视频';
           }""",
        arg=MOTION,
    )


def test_the_sockets_of_a_choice_are_chinese_in_nodes_2(
    comfy: Any, inputs: Path, screen: Callable[..., Any]
) -> None:
    try:
        seen = screen(comfy.url, settings={"Comfy.Locale": "zh", "Comfy.VueNodes.Enabled": True})
        seen.open_template("1 motion control")
        node = seen.page.locator("[data-node-id]").filter(has_text="Kling Once 动作控制")
        node.locator(".lg-slot--input").filter(has_text="视频").first.wait_for()
        assert "video" not in node.locator(".lg-slot--input").all_inner_texts()
    finally:
        comfy.post("/settings", {"Comfy.VueNodes.Enabled": False})


def test_the_note_of_a_template_is_chinese_and_one_that_somebody_wrote_stays(chinese: Any) -> None:
    note = "() => window.app.graph.nodes.find(one => one.type === 'MarkdownNote').widgets[0].value"
    chinese.open_template("1 motion control")
    chinese.page.wait_for_function(f"() => ({note})().startsWith('## 动作控制')")
    chinese.page.evaluate(
        """async () => {
             const { app } = window;
             app.graph.nodes.find(one => one.type === "MarkdownNote").widgets[0].value = "mine";
             await app.loadGraphData(app.graph.serialize());
           }"""
    )
    assert chinese.page.evaluate(note) == "mine"


def test_an_error_of_the_server_is_chinese_in_its_toast(chinese: Any) -> None:
    tasks = chinese.tasks()
    tasks.show("account")
    chinese.page.get_by_label("服务").select_option("kling")
    chinese.said("没有配置可灵密钥。")
    chinese.complaints.clear()  # the browser logs every refusal


def test_a_third_language_is_one_file_more(
    comfy: Any, inputs: Path, screen: Callable[..., Any], sandbox: Any
) -> None:
    seen = screen(comfy.url)

    def with_another(route: Any) -> None:
        known = route.fetch().json()
        route.fulfill(json=known | {NEW: {"klingOnce": NEW_WORDS}})

    seen.page.route("**/i18n", with_another)
    seen.load()
    seen.page.evaluate("name => window.app.extensionManager.setting.set('Comfy.Locale', name)", NEW)
    seen.open_template("1 motion control")
    seen.wait_for_strip("fri sandkasse")
    sandbox.tasks_take(polls=0)
    sandbox.script("create", "task-failed")
    seen.widget(MOTION, "take", 803)
    seen.run()
    seen.wait_for_strip(
        r"Kling malsukcesis: Task failed due to an internal error\. Task \d+\. Provu denove\.$"
    )
    Image.new("RGB", (90, 80), "white").save(inputs / "tiny_xx.png")
    seen.widget(MOTION, "conform", "off")
    seen.widget("LoadImage", "image", "tiny_xx.png")
    seen.wait_for_strip("Bildo 90 x 80, minimumo 300.")


def test_every_language_has_one_file_of_our_words() -> None:
    """`nodeDefs`, `commands` and `settings` are ComfyUI's own; these are optional in a language."""
    for folder in (ROOT / "locales").iterdir():
        assert "klingOnce" in json.loads((folder / "main.json").read_text(encoding="utf-8"))
