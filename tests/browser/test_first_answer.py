"""How soon the strips answer after a graph with ten of our nodes is opened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.browser.screens import STRIP, TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WITHIN_SECONDS = 1.0
TEN_NODES = 10
IDLE = """async () => {
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    const began = performance.now();
    await fetch("/system_stats").then(answer => answer.json());
    await new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve, 0)));
    times.push(performance.now() - began);
  }
  return times.sort((one, other) => one - other)[2] / 1000;
}"""
"""How long the page takes for one small request and one picture, in seconds: what the load makes of it."""
QUIET_SECONDS = 0.04
"""The same on a machine that is not busy."""
OPEN = """async ([workflow, count]) => {
  const { app } = window;
  await app.loadGraphData(workflow);
  const first = app.graph.nodes.find(one => one.comfyClass === "KlingOnce_MotionControl");
  for (let number = 1; number < count; number += 1) {
    const node = LiteGraph.createNode(first.comfyClass);
    node.pos = [first.pos[0] + 450 * number, first.pos[1]];
    app.graph.add(node);
    for (const input of first.inputs) {
      const link = app.graph.getLink(input.link);
      const slot = node.inputs.findIndex(one => one.name === input.name);
      if (link && slot >= 0) app.graph.getNodeById(link.origin_id).connect(link.origin_slot, node, slot);
    }
  }
  return app.graph.serialize();
}"""
WATCH = f"""([workflow]) => {{
  const {{ app }} = window;
  window.firstAnswers = {{}};
  const began = performance.now();
  const look = () => {{
    for (const node of app.graph.nodes) {{
      if (!node.comfyClass?.startsWith("KlingOnce_") || window.firstAnswers[node.id]) continue;
      const isThere = ({STRIP})(node).some(line => /free|units/.test(line));
      if (isThere) window.firstAnswers[node.id] = performance.now() - began;
    }}
    requestAnimationFrame(look);
  }};
  return app.loadGraphData(workflow).then(look);
}}"""


def first_answers(seen: Any, count: int) -> list[float]:
    """Open a graph with so many of our nodes; return when each strip had its answer, in seconds."""
    template = json.loads((TEMPLATES / "1 motion control.json").read_text(encoding="utf-8"))
    workflow = seen.page.evaluate(OPEN, [template, count])
    seen.page.evaluate("() => window.app.graph.clear()")
    seen.page.evaluate(WATCH, [workflow])
    seen.page.wait_for_function(
        "count => Object.keys(window.firstAnswers).length === count", arg=count, timeout=60_000
    )
    return [took / 1000 for took in seen.page.evaluate("() => Object.values(window.firstAnswers)")]


def test_the_first_strip_of_ten_answers_within_a_second(
    comfy: Any, inputs: Path, screen: Callable[..., Any], record_property: Callable[[str, Any], None]
) -> None:
    seen = screen(comfy.url)
    first_answers(seen, 1)  # the clip is measured once, whatever opens it
    tries = []
    for _ in range(3):
        idle = seen.page.evaluate(IDLE)
        answers = first_answers(seen, TEN_NODES)
        tries.append((min(answers), idle))
    record_property("tries", tries)
    assert min(first / max(1.0, idle / QUIET_SECONDS) for first, idle in tries) < WITHIN_SECONDS, tries
