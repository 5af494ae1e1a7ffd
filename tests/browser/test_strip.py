"""Price, limits and what is paid, on the node before Run is pressed; and the hold switch."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.browser.screens import STRIP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"


def test_the_price_follows_the_widgets(editor: Any, shot: Callable[..., Any]) -> None:
    editor.widget(MOTION, "service", "kling")
    editor.wait_for_strip(r"up to 2 units \(0.28 USD\)")
    editor.widget(MOTION, "mode", "pro")
    editor.wait_for_strip(r"up to 3.2 units \(0.448 USD\)")
    editor.widget(MOTION, "model", "kling-v3")
    editor.wait_for_strip(r"up to 4.8 units \(0.672 USD\)")
    editor.widget(MOTION, "mode", "std")
    editor.wait_for_strip(r"up to 3.6 units \(0.504 USD\)")
    editor.look_at()
    shot(editor, "strip-price")
    editor.widget(MOTION, "service", "sandbox")
    editor.wait_for_strip(".*free")


def test_an_old_price_is_not_shown_while_the_new_one_is_asked_for(editor: Any) -> None:
    waiting: list[Any] = []

    def hold(route: Any) -> None:
        waiting.append(route)

    editor.page.route("**/kling_once/node", hold)
    editor.widget(MOTION, "service", "kling")
    editor.wait_for_strip("checking the price")
    assert not any("free" in text for text in editor.strip())
    while waiting:
        waiting.pop().continue_()
    editor.page.unroute("**/kling_once/node")
    editor.wait_for_strip(r"up to 2 units \(0.28 USD\)")


def test_what_was_made_says_so_after_the_run_and_not_before(editor: Any) -> None:
    editor.widget(MOTION, "take", 201)
    editor.wait_for_strip("sandbox, free")
    editor.page.evaluate(
        """() => {
             window.ends = 0;
             window.app.api.addEventListener("execution_success", () => { window.ends += 1; });
           }"""
    )
    editor.run()
    editor.wait_for_strip("already made, free")
    editor.page.wait_for_function("() => window.ends > 0", timeout=60_000)
    with editor.page.expect_response("**/kling_once/node"):
        editor.page.evaluate("() => window.app.api.dispatchEvent(new CustomEvent('kling_once.setup'))")
    editor.wait_for_strip("already made, free")  # also with its player on the node
    editor.widget(MOTION, "take", 202)
    editor.wait_for_strip("sandbox, free")


def test_a_broken_limit_is_shown_before_the_run(editor: Any, inputs: Path, shot: Callable[..., Any]) -> None:
    Image.new("RGB", (100, 100), "white").save(inputs / "tiny.png")
    editor.widget(MOTION, "conform", "off")
    editor.widget("LoadImage", "image", "tiny.png")
    editor.wait_for_strip("Reference image")
    editor.look_at()
    shot(editor, "strip-limit")


def test_widgets_that_contradict_each_other_say_so(editor: Any) -> None:
    editor.widget(MOTION, "model", "kling-v3")
    editor.widget(MOTION, "element_id", "123456")
    editor.widget(MOTION, "character_orientation", "image")
    editor.wait_for_strip("With an element Kling follows")


def test_the_hold_switch_stops_the_next_live_submit_and_survives_a_restart(
    comfy: Any,
    inputs: Path,
    graph: Any,
    sandbox: Any,
    screen: Callable[..., Any],
    shot: Callable[..., Any],
) -> None:
    url = sandbox.upload(inputs / "motion.mp4")
    live = graph(service="kling", profile="studio", take=213, motion_source="url")
    live["3"]["inputs"]["motion_source.url"] = url
    del live["3"]["inputs"]["motion_source.video"]
    seen = screen(comfy.url)
    tasks = seen.tasks()
    tasks.press("Hold live submissions")
    seen.page.locator('.kling-once-hold[data-held="true"]').wait_for()
    shot(seen, "hold")
    before = len(sandbox.creates())
    comfy.stop()
    comfy.start()
    ended = comfy.run(live)
    assert "on hold since" in ended.error["exception_message"]
    assert len(sandbox.creates()) == before
    seen = screen(comfy.url)
    tasks = seen.tasks()
    tasks.press("Release")
    seen.page.locator('.kling-once-hold[data-held="false"]').wait_for()
    assert comfy.run(live).ok
    assert len(sandbox.creates()) == before + 1


def load_prompt(seen: Any, prompt: dict[str, Any]) -> None:
    """Open an API prompt in the editor."""
    seen.page.evaluate("prompt => window.app.loadApiJson(prompt, 'queued')", prompt)
    seen.look_at()


def test_what_was_paid_says_so_and_what_was_not_does_not(
    editor: Any, inputs: Path, graph: Any, sandbox: Any
) -> None:
    url = sandbox.upload(inputs / "motion.mp4")
    live = graph(service="kling", profile="studio", take=211, motion_source="url")
    del live["3"]["inputs"]["motion_source.video"]
    live["3"]["inputs"]["motion_source.url"] = url
    load_prompt(editor, live)
    editor.wait_for_strip("up to 15 units")
    editor.run()
    editor.wait_for_strip("already paid, free")
    editor.widget(MOTION, "take", 212)
    editor.wait_for_strip("up to 15 units")


def test_a_clip_that_only_the_run_will_know_is_priced_by_the_second(editor: Any) -> None:
    editor.widget(MOTION, "service", "kling")
    editor.page.evaluate(
        """type => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             node.disconnectInput(node.inputs.findIndex(one => one.name === "motion_source.video"));
             document.dispatchEvent(new Event("change"));
           }""",
        MOTION,
    )
    editor.wait_for_strip("0.07 USD a second")


def test_a_clip_that_is_cut_shows_how_much_of_it_is_used(
    editor: Any, clip_of: Callable[[float], str], shot: Callable[..., Any]
) -> None:
    editor.widget(MOTION, "character_orientation", "image")
    editor.widget("LoadVideo", "file", clip_of(10.4))
    editor.wait_for_strip("uses 0:00-0:10.0 of 0:10.4")
    editor.look_at()
    shot(editor, "strip-used")


def test_a_clip_too_long_for_its_orientation_is_said_to_be(
    editor: Any, clip_of: Callable[[float], str], shot: Callable[..., Any]
) -> None:
    editor.widget(MOTION, "character_orientation", "image")
    editor.widget("LoadVideo", "file", clip_of(12))
    editor.wait_for_strip("Reference video is 12")
    editor.look_at()
    shot(editor, "strip-too-long")


def test_a_node_within_a_subgraph_has_its_price_too(editor: Any, shot: Callable[..., Any]) -> None:
    inner = f"() => ({STRIP})(window.motion).join()"
    editor.page.evaluate(
        """type => {
             const { graph } = window.app;
             window.motion = graph.nodes.find(one => one.comfyClass === type);
             window.around = graph.convertToSubgraph(new Set([window.motion])).node;
             [window.motion] = window.around.subgraph.nodes;
           }""",
        MOTION,
    )
    editor.page.wait_for_function(f"() => ({inner})().includes('sandbox, free')")
    editor.page.evaluate(
        """() => {
             const slot = window.motion.inputs.find(one => one.name === "service");
             window.around.subgraph.addInput("service", slot.type).connect(slot, window.motion);
             window.around.widgets.find(one => one.name === "service").value = "kling";
             document.dispatchEvent(new Event("change"));
           }"""
    )
    editor.page.wait_for_function(f"() => ({inner})().startsWith('up to 2 units (0.28 USD)')")
    editor.page.evaluate("() => window.app.canvas.setGraph(window.around.subgraph)")
    shot(editor, "strip-subgraph")


def test_a_click_asks_no_widget_to_serialize_itself(editor: Any) -> None:
    editor.page.evaluate(
        """() => {
             window.asked = 0;
             for (const node of window.app.graph.nodes) {
               for (const widget of node.widgets ?? []) {
                 widget.serializeValue = () => { window.asked += 1; return widget.value; };
               }
             }
           }"""
    )
    editor.widget(MOTION, "service", "kling")
    editor.page.mouse.click(700, 650)
    editor.wait_for_strip(r"up to 2 units \(0.28 USD\)")
    assert editor.page.evaluate("window.asked") == 0


def test_a_slow_check_is_asked_once_however_often_somebody_clicks(editor: Any) -> None:
    editor.page.evaluate(
        """() => {
             window.nodeAnswers = [];
             const { fetch } = window;
             window.fetch = async (...given) => {
               if (!String(given[0]).includes("/kling_once/node")) return fetch(...given);
               await new Promise(resolve => window.nodeAnswers.push(resolve));
               return fetch(...given);
             };
           }"""
    )
    editor.widget(MOTION, "service", "kling")
    waiting = "count => window.nodeAnswers.length === count"
    editor.page.wait_for_function(waiting, arg=1)
    for _ in range(3):
        editor.page.mouse.click(700, 650)
        editor.page.wait_for_timeout(500)  # longer than the strip waits after a click
    assert editor.page.evaluate("window.nodeAnswers.length") == 1
    editor.page.evaluate("() => window.nodeAnswers[0]()")
    editor.wait_for_strip(r"up to 2 units \(0.28 USD\)")


def test_a_node_does_not_wait_for_the_slow_clip_of_another(editor: Any) -> None:
    held: list[Any] = []

    def hold_the_first(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    editor.page.route("**/kling_once/node", hold_the_first)
    editor.page.evaluate(
        """type => {
             const { app } = window;
             const first = app.graph.nodes.find(one => one.comfyClass === type);
             window.other = LiteGraph.createNode(type);
             app.graph.add(window.other);
             const widget = first.widgets.find(one => one.name === "mode");
             widget.value = "pro";
             document.dispatchEvent(new Event("change"));
           }""",
        MOTION,
    )
    editor.page.wait_for_function(
        f"() => ({STRIP})(window.other).some(line => line.startsWith('Nothing is'))"
    )
    assert editor.strip() == ["checking the price"]
    held.pop().continue_()
    editor.wait_for_strip("sandbox, free")


def test_a_picture_replaced_under_its_name_is_looked_at_again(editor: Any, inputs: Path) -> None:
    shutil.copyfile(inputs / "character.png", inputs / "replaced.png")
    editor.widget(MOTION, "conform", "off")
    editor.widget("LoadImage", "image", "replaced.png")
    editor.wait_for_strip("sandbox, free")
    Image.new("RGB", (100, 100), "white").save(inputs / "replaced.png")
    editor.page.clock.install()
    editor.page.clock.fast_forward(6000)
    editor.page.mouse.click(700, 650)
    editor.page.clock.fast_forward(1000)
    editor.wait_for_strip("Reference image")
