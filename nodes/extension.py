"""The list of nodes, and what happens when ComfyUI loads them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from ..kling_once.jobs.progress import SHARED
from ..kling_once.web.app import Place, register
from . import host
from .frames import VideoFrames
from .graph import signature
from .motion_control import (
    CheckMotionControl,
    CollectMotionControl,
    MotionControl,
    SubmitMotionControl,
)
from .orders import off_text
from .tasks import FetchTask, ListTasks

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


EVENT = "kling_once.job"


def open_page() -> None:
    """Add the routes, and tell every page where jobs stand: their key and state, nothing else."""
    server = host.PromptServer.instance
    place = Place(
        engine=host.open_engine,
        output_folder=host.output_folder,
        input_file=_input_file,
        signature=_signature,
        off_text=off_text,
    )
    register(server.routes, place)
    SHARED.add(lambda job_key, state: server.send_sync(EVENT, {"job_key": job_key, "state": state}))


def _signature(prompt: dict[str, Any], node_id: str) -> str:
    return signature(prompt, node_id, host.input_moment)


def _input_file(name: str) -> Path | None:
    """Return the file that a loader's widget names, if it really lies in one of ComfyUI's folders."""
    if not host.folder_paths.exists_annotated_filepath(name):
        return None
    path = Path(host.folder_paths.get_annotated_filepath(name)).resolve()
    folders = (host.input_folder(), host.output_folder(), host.temp_folder().parent)
    return path if path.is_file() and any(path.is_relative_to(one.resolve()) for one in folders) else None
