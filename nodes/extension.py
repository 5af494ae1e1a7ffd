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

DEMO_FOLDER = Path(__file__).parent.parent / "kling_direct" / "demo"
DEMO_FILES = ("character.png", "motion.mp4")


class KlingDirectExtension(host.ComfyExtension):
    """Kling Direct's nodes."""

    async def on_load(self) -> None:
        """Open the page's routes; put the files of the example workflows into `input/kling_direct/`."""
        open_page()
        try:
            for name in DEMO_FILES:
                target = host.input_folder() / "kling_direct" / name
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(DEMO_FOLDER / name, target)
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
