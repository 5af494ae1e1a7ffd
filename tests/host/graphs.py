"""Graphs as a page sends them: API prompts."""

from __future__ import annotations

from typing import Any

Prompt = dict[str, dict[str, Any]]


class Graphs:
    """API prompts that a test asks for; every one is a job of its own unless `take` says otherwise."""

    def __init__(self) -> None:
        self._takes = iter(range(1, 1_000_000))

    def new_take(self) -> int:
        return next(self._takes)

    def inputs(self) -> Prompt:
        return {
            "image": {"class_type": "LoadImage", "inputs": {"image": "kling_once/character.png"}},
            "clip": {"class_type": "LoadVideo", "inputs": {"file": "kling_once/motion.mp4"}},
        }

    def motion(self, **inputs: Any) -> Prompt:
        """Return Load Image and Load Video to Motion Control to Save Video."""
        source = {"motion_source": "video", "motion_source.video": ["clip", 0]}
        given = {"image": ["image", 0], "take": self.new_take()} | inputs
        if "motion_source" not in given:
            given |= source
        return self.inputs() | {
            "motion": {"class_type": "KlingOnce_MotionControl", "inputs": given},
            "save": self.save("motion"),
        }

    def save(self, node: str, slot: int = 0) -> dict[str, Any]:
        codec = {"format.codec": "auto", "codec": "auto"}  # the second until core's widget became dynamic
        inputs = {"video": [node, slot], "filename_prefix": "host", "format": "auto", **codec}
        return {"class_type": "SaveVideo", "inputs": inputs}

    def show(self, node: str, slot: int) -> dict[str, Any]:
        return {"class_type": "Probe_Show", "inputs": {"value": [node, slot]}}
