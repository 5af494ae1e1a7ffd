"""Two nodes, and a server that runs one task at a time: the text of each ends right."""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import ROOT
from tests.browser.screens import STRIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOTION = "KlingOnce_MotionControl"
TASK_SECONDS = 8
LONG_SECONDS = 300
WAITS = "waiting for a place"
TEXTS = """() => window.two.map(id => window.app.graph.getNodeById(id).widgets
    .find(one => one.name === "$$node-text-preview")?.value ?? "")"""
STRIPS = f"() => window.two.map(id => ({STRIP})(window.app.graph.getNodeById(id)).join(' | '))"
ADD_A_SECOND = """type => {
  const { graph } = window.app;
  const first = graph.nodes.find(one => one.comfyClass === type);
  const second = LiteGraph.createNode(type);
  second.pos = [first.pos[0] + 900, first.pos[1]];
  graph.add(second);
  for (const input of first.inputs) {
    const link = graph.getLink(input.link);
    const slot = second.inputs.findIndex(one => one.name === input.name);
    if (link && slot >= 0) graph.getNodeById(link.origin_id).connect(link.origin_slot, second, slot);
  }
  const save = LiteGraph.createNode("SaveVideo");
  save.pos = [second.pos[0] + 450, second.pos[1]];
  graph.add(save);
  second.connect(0, save, 0);
  window.two = [first.id, second.id];
}"""
SET_TAKES = """take => window.two.forEach((id, place) => {
  window.app.graph.getNodeById(id).widgets.find(one => one.name === "take").value = take + place;
})"""


@pytest.fixture(scope="module")
def one_at_a_time(comfy_at: Callable[..., Any], sandbox: Any) -> Iterator[Any]:
    comfy = comfy_at(KLING_ONCE_SANDBOX_URL=sandbox.origin, KLING_ONCE_MAX_PARALLEL="1").start()
    for name in ("character.png", "motion.mp4"):
        shutil.copyfile(ROOT / "kling_once" / "demo" / name, comfy.base / "input" / name)
    yield comfy
    comfy.stop()


@pytest.fixture
def editor(one_at_a_time: Any, screen: Callable[..., Any], sandbox: Any) -> Iterator[Any]:
    seen = screen(one_at_a_time.url)
    seen.open_template("1 motion control")
    seen.page.evaluate(ADD_A_SECOND, MOTION)
    yield seen
    sandbox.tasks_take(polls=0)


def begin(seen: Any, take: int) -> tuple[int, int]:
    """Run until one node's task is at work and the other waits its turn; return the places of both."""
    seen.page.evaluate(SET_TAKES, take)
    seen.run()
    seen.page.wait_for_function(
        f"""waits => {{
             const texts = ({TEXTS})();
             return texts.some(text => RegExp("^" + waits).test(text))
                 && texts.some(text => /^waiting for Kling .*task \\d+/.test(text));
           }}""",
        arg=WAITS,
        timeout=60_000,
    )
    texts = seen.page.evaluate(TEXTS)
    waiting = next(place for place, text in enumerate(texts) if re.match(WAITS, text))
    return 1 - waiting, waiting


def wait_for_texts(seen: Any, **patterns: str) -> list[str]:
    """Wait until the texts begin so; `_0` and `_1` name the nodes by their places."""
    wanted = [patterns["_0"], patterns["_1"]]
    seen.page.wait_for_function(
        f"wanted => ({TEXTS})().every((text, place) => RegExp('^' + wanted[place]).test(text))",
        arg=wanted,
        timeout=60_000,
    )
    return seen.page.evaluate(TEXTS)


def by_place(**patterns: Any) -> dict[str, str]:
    return {f"_{place}": pattern for place, pattern in patterns.values()}


def test_the_time_of_a_node_counts_from_its_own_turn(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(seconds=TASK_SECONDS)
    began = time.monotonic()
    _, second = begin(editor, 1300)
    texts = wait_for_texts(editor, _0=r"kept \| ", _1=r"kept \| ")
    whole = time.monotonic() - began
    minutes, seconds = re.match(r"kept \| (\d+):(\d\d)", texts[second]).groups()  # pyright: ignore[reportOptionalMemberAccess]
    assert int(minutes) * 60 + int(seconds) <= whole - TASK_SECONDS + 1
    editor.page.wait_for_function(f"() => ({STRIPS})().every(text => text.includes('already made, free'))")


def test_after_stop_each_says_whether_a_task_goes_on(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(seconds=LONG_SECONDS)
    first, second = begin(editor, 1310)
    editor.page.get_by_role("button", name="Cancel current run").click()
    wait_for_texts(
        editor, **by_place(a=(first, r"stopped \| task \d+ goes on; "), b=(second, r"stopped \| queue again"))
    )


def test_after_the_first_has_failed_the_second_does_not_go_on_waiting(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(seconds=TASK_SECONDS)
    sandbox.script("create", "task-failed")
    first, second = begin(editor, 1320)
    wait_for_texts(
        editor,
        **by_place(a=(first, "Kling reports that the task failed"), b=(second, r"stopped \| |kept \| ")),
    )


def test_after_a_reload_both_are_followed_to_their_end(editor: Any, sandbox: Any) -> None:
    sandbox.tasks_take(seconds=LONG_SECONDS)
    begin(editor, 1330)
    two = editor.page.evaluate("() => window.two")
    editor.reload()
    editor.page.wait_for_function(
        "two => two.every(id => window.app.graph.getNodeById(id)?.comfyClass)", arg=two
    )
    editor.page.evaluate("two => { window.two = two; }", two)
    sandbox.tasks_take(polls=0)
    editor.page.wait_for_function(
        f"() => ({STRIPS})().every(text => text.includes('already made, free'))", timeout=60_000
    )
    assert not [text for text in editor.page.evaluate(TEXTS) if text.startswith("waiting")]
    editor.complaints.clear()  # messages that came before anybody waited for them


def test_after_a_restart_of_the_server_both_say_that_they_were_cut_off(
    editor: Any, one_at_a_time: Any, sandbox: Any
) -> None:
    sandbox.tasks_take(seconds=LONG_SECONDS)
    begin(editor, 1340)
    one_at_a_time.stop()
    editor.page.evaluate("() => window.app.api.dispatchEvent(new CustomEvent('reconnected'))")
    broke = "The connection to the server broke. A task that was made goes on"
    wait_for_texts(editor, _0=broke, _1=broke)
    editor.complaints.clear()  # the server was gone under the page
