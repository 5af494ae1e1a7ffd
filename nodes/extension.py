"""The list of nodes, and what happens when ComfyUI loads them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from . import host
from .check_motion_control import CheckMotionControl
from .collect_motion_control import CollectMotionControl
from .fetch_task import FetchTask
from .list_tasks import ListTasks
from .motion_control import MotionControl
from .page import open_page
from .submit_motion_control import SubmitMotionControl
from .video_frames import VideoFrames

logger = logging.getLogger(__name__)

DEMO_FOLDER = Path(__file__).parent.parent / "kling_once" / "demo"
DEMO_FILES = {
    "kling_once/character.png": "character.png",
    "kling_once/motion.mp4": "motion.mp4",
    "kling_once_character.png": "character.png",
    "kling_once_motion.mp4": "motion.mp4",
}
"""Where each is put in ComfyUI's input folder. The page's loaders list no file in a folder, and a workflow
that names one there opens with "2 errors found: missing inputs": the examples name the two beside it."""


class KlingOnceExtension(host.ComfyExtension):
    """Kling Once's nodes."""

    async def on_load(self) -> None:
        """Open the page's routes; put the files of the examples into ComfyUI's input folder."""
        open_page()
        try:
            for name, source in DEMO_FILES.items():
                target = host.input_folder() / name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(DEMO_FOLDER / source, target)
        except OSError as error:
            logger.warning("The example inputs could not be copied: %s", error)

    async def get_node_list(self) -> list[Any]:
        """Return the nodes."""
        return [
            MotionControl,
            CheckMotionControl,
            SubmitMotionControl,
            CollectMotionControl,
            FetchTask,
            ListTasks,
            VideoFrames,
        ]
