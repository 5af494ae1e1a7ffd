# ruff: noqa: E501, INP001 - JavaScript in texts; a folder of scripts is no package
"""Make the subgraph blueprint in a real ComfyUI's page: Motion Control behind a picture, a clip and few widgets.

    python examples/make_blueprint.py http://127.0.0.1:8188

needs what make_workflows.py needs. Writes subgraphs/*.json, which ComfyUI lists among the blueprints of its node
library.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from make_workflows import finished
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
NAME = "Kling Once - picture and clip to video"
ABOUT = "The character of the picture moves as the person in the clip does. Free with the sandbox, paid once with Kling."
SEARCHED = ["kling", "motion control", "dance", "character", "picture to video"]
SHOWN = ["prompt", "model", "mode", "character_orientation", "keep_original_sound", "take", "service"]
"""The node's widgets that stand on the blueprint as well."""
LABELS = {"image": "picture", "motion_source.video": "clip"}

BUILD = """
async () => {
  const app = window.app;
  app.graph.clear();
  const add = (type, pos) => {
    const node = window.LiteGraph.createNode(type);
    app.graph.add(node);
    node.pos = pos;
    return node;
  };
  const image = add("LoadImage", [0, 0]), clip = add("LoadVideo", [0, 400]);
  const motion = add("KlingOnce_MotionControl", [400, 0]), save = add("SaveVideo", [900, 0]);
  const report = add("PreviewAny", [900, 400]);
  await new Promise((done) => setTimeout(done, 300));
  const output = (name) => motion.outputs.findIndex((one) => one.name === name);
  const input = (name) => motion.inputs.findIndex((one) => one.name === name);
  image.connect(0, motion, input("image"));
  clip.connect(0, motion, input("motion_source.video"));
  motion.connect(output("video"), save, 0);
  motion.connect(output("report"), report, 0);
  const { node } = app.graph.convertToSubgraph(new Set([motion]));
  await new Promise((done) => setTimeout(done, 300));
  for (const other of [image, clip, save, report]) app.graph.remove(other);
  return JSON.parse(JSON.stringify(app.graph.serialize()));
}
"""


def blueprint(workflow: dict[str, Any]) -> dict[str, Any]:
    """Name what stands outside, and choose the widgets that are shown."""
    finished({"nodes": workflow["definitions"]["subgraphs"][0]["nodes"]})
    (node,) = workflow["nodes"]
    (inside,) = workflow["definitions"]["subgraphs"]
    (motion,) = inside["nodes"]
    inside["name"] = node["title"] = NAME
    inside["extra"] = {"BlueprintDescription": ABOUT, "BlueprintSearchAliases": SEARCHED}
    for slot in [*inside["inputs"], *node["inputs"]]:
        slot["label"] = LABELS.get(slot["name"], slot["name"])
    node["pos"] = [0, 0]
    node["properties"] = {"proxyWidgets": [[str(motion["id"]), name] for name in SHOWN]}
    workflow["extra"] = {}
    workflow.pop("id", None)
    return workflow


def main(url: str) -> None:
    """Make it."""
    folder = ROOT / "subgraphs"
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("() => window.app?.extensionManager?.workflow?.activeWorkflow", timeout=60_000)
        page.wait_for_timeout(3000)
        made = blueprint(page.evaluate(BUILD))
        browser.close()
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{NAME}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
