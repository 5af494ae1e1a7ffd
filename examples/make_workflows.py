# ruff: noqa: E501, INP001 - JavaScript in texts; a folder of scripts is no package
"""Make the example workflows in a real ComfyUI's page: build each graph there, save it, and try it.

    python examples/make_workflows.py http://127.0.0.1:8188
    python examples/make_workflows.py http://127.0.0.1:8188 "1 motion control"

makes all, or those that are named. It needs a running ComfyUI with this pack, and Playwright with
/usr/bin/chromium. Writes examples/workflows/*.json, the same files to example_workflows/, and what the page itself
would queue to tests/host/queued/*.json. `draw_pictures.py` draws the pictures beside them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from workflow_plans import PLANS, App

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ROOT / "examples" / "workflows"
TEMPLATES = ROOT / "example_workflows"
QUEUED = ROOT / "tests" / "host" / "queued"
PACK_VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NOTES = {"MarkdownNote", "Note"}

BUILD = """
async ([nodes, links]) => {
  const app = window.app || window.comfyAPI.app.app;
  app.graph.clear();
  const made = {};
  for (const plan of nodes) {
    const node = window.LiteGraph.createNode(plan.type);
    if (!node) throw new Error("no node " + plan.type);
    app.graph.add(node);
    node.pos = plan.pos;
    if (plan.title) node.title = plan.title;
    for (const [name, value] of Object.entries(plan.widgets || {})) {
      const widget = name === "text" && plan.type === "MarkdownNote" ? node.widgets[0]
        : node.widgets.find((w) => w.name === name);
      if (!widget) throw new Error(plan.type + " has no widget " + name + ": " + node.widgets.map((w) => w.name));
      widget.value = value;
      widget.callback?.(value);
    }
    if (plan.size) node.setSize(plan.size);
    made[plan.name] = node;
  }
  await new Promise((done) => setTimeout(done, 300));
  for (const [from, output, to, input] of links) {
    const source = made[from], target = made[to];
    const outSlot = source.outputs.findIndex((o) => o.name === output || o.localized_name === output);
    const inSlot = target.inputs.findIndex((i) => i.name === input);
    if (outSlot < 0) throw new Error(from + " has no output " + output + ": " + source.outputs.map((o) => o.name));
    if (inSlot < 0) throw new Error(to + " has no input " + input + ": " + target.inputs.map((i) => i.name));
    source.connect(outSlot, target, inSlot);
  }
  for (const plan of nodes) if (!plan.size) made[plan.name].setSize(made[plan.name].computeSize());
  await new Promise((done) => setTimeout(done, 300));
  const ids = Object.fromEntries(Object.entries(made).map(([name, node]) => [name, node.id]));
  return [JSON.parse(JSON.stringify(app.graph.serialize())), ids];
}
"""
LOAD = """
async (workflow) => {
  const app = window.app || window.comfyAPI.app.app;
  await app.loadGraphData(workflow);
  await new Promise((done) => setTimeout(done, 500));
  const prompt = await app.graphToPrompt();
  return JSON.parse(JSON.stringify(prompt.output));
}
"""
READY = """
() => ["MarkdownNote", "KlingOnce_MotionControl"].every((type) => window.LiteGraph?.registered_node_types?.[type])
"""


def finished(workflow: dict[str, Any]) -> dict[str, Any]:
    """Name the pack and the version of every node, so that a missing one can be found."""
    for node in workflow["nodes"]:
        if node["type"] in NOTES:
            continue
        ours = node["type"].startswith("KlingOnce_")
        node["properties"] |= {
            "Node name for S&R": node["type"],
            "cnr_id": "kling-once" if ours else "comfy-core",
            "ver": PACK_VERSION if ours else "0.33.0",
        }
    workflow["extra"] = {}
    workflow.pop("id", None)
    return workflow


def linear_data(app: App, ids: dict[str, int]) -> dict[str, Any]:
    """Return which widgets and results App mode shows, as the page writes it."""
    inputs = [[ids[node], widget] for node, widget in app.inputs]
    return {"inputs": inputs, "outputs": [ids[node] for node in app.outputs]}


def make(page: Page, name: str, plan: Any) -> None:
    """Build, save and load again one workflow."""
    nodes = [node.__dict__ for node in plan.nodes]
    built, ids = page.evaluate(BUILD, [nodes, plan.links])
    workflow = finished(built)
    if plan.app:
        workflow["extra"] = {"linearMode": True, "linearData": linear_data(plan.app, ids)}
    path = WORKFLOWS / f"{name}.json"
    path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    queued = page.evaluate(LOAD, workflow)
    QUEUED.mkdir(parents=True, exist_ok=True)
    (QUEUED / path.name).write_text(json.dumps(queued, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(path, TEMPLATES / path.name)


def main(url: str, *names: str) -> None:
    """Make all, or those that are named."""
    for folder in (WORKFLOWS, TEMPLATES):
        folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, plan in PLANS.items():
            if names and name not in names:
                continue
            page = browser.new_page(
                viewport={"width": 2560, "height": 1600}
            )  # a page remembers values by node id
            page.goto(url)
            page.wait_for_function("() => (window.app || window.comfyAPI?.app?.app)?.graph", timeout=60_000)
            page.wait_for_function(READY, timeout=120_000)
            page.wait_for_timeout(4000)
            page.keyboard.press("Escape")
            make(page, name, plan)
            page.close()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
