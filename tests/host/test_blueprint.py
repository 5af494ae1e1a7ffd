"""ComfyUI lists our blueprint among those of its node library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SUBGRAPHS = Path(__file__).resolve().parents[2] / "subgraphs"


def test_every_blueprint_is_listed_and_served(comfy: Any) -> None:
    listed = comfy.get("/global_subgraphs")
    ours = {key: one for key, one in listed.items() if one["info"]["node_pack"] == "custom_nodes.kling-once"}
    assert {one["name"] for one in ours.values()} == {path.stem for path in SUBGRAPHS.glob("*.json")}
    for key, one in ours.items():
        served = json.loads(comfy.get(f"/global_subgraphs/{key}")["data"])
        assert served == json.loads((SUBGRAPHS / f"{one['name']}.json").read_text(encoding="utf-8"))
