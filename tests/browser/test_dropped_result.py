"""A kept video that is dropped on the canvas opens the graph that ordered it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TEMPLATES = Path(__file__).resolve().parents[2] / "example_workflows"
DROP = """
async address => {
  const blob = await (await fetch(address)).blob();
  const data = new DataTransfer();
  data.items.add(new File([blob], "result.mp4", { type: "video/mp4" }));
  const canvas = document.getElementById("graph-canvas");
  for (const kind of ["dragenter", "dragover", "drop"])
    canvas.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
}
"""


def test_a_kept_video_dropped_on_the_canvas_opens_its_graph(
    comfy: Any, inputs: Path, graph: Any, screen: Callable[..., Any]
) -> None:
    workflow = json.loads((TEMPLATES / "6 upscale the result.json").read_text(encoding="utf-8"))
    ended = comfy.run(graph(take=881), workflow=workflow)
    assert ended.ok
    file = ended.file("3")
    seen = screen(comfy.url)
    seen.open_template("1 motion control")
    seen.page.evaluate(DROP, f"/view?type=output&subfolder={file['subfolder']}&filename={file['filename']}")
    seen.page.wait_for_function(
        "() => window.app.graph.nodes.some(one => one.comfyClass === 'ImageScaleBy')", timeout=30_000
    )
