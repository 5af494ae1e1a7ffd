"""The list of nodes, and what happens when ComfyUI loads them."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.jobs.progress import SHARED
from ..kling_once.web import mount
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

if TYPE_CHECKING:
    from ..kling_once.jobs.engine import Engine
    from ..kling_once.order import Service

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
    mount(server.routes, PageHost())
    SHARED.add(lambda job_key, state: server.send_sync(EVENT, {"job_key": job_key, "state": state}))


class PageHost:
    """ComfyUI as the page's routes see it: `web.Host`."""

    def engine(self) -> Engine:
        """Return the engine that the nodes use as well; blocking."""
        return host.open_engine()

    def output_folder(self) -> Path:
        """Return ComfyUI's output folder."""
        return host.output_folder()

    def input_file(self, name: str) -> Path | None:
        """Return the file that a loader's widget names, if it really lies in one of ComfyUI's folders."""
        if not host.folder_paths.exists_annotated_filepath(name):
            return None
        path = Path(host.folder_paths.get_annotated_filepath(name)).resolve()
        folders = (host.input_folder(), host.output_folder(), host.temp_folder().parent)
        return path if path.is_file() and any(path.is_relative_to(one.resolve()) for one in folders) else None

    def signature(self, prompt: dict[str, Any], node_id: str) -> str:
        """Return the hash of a node and of everything that leads to it."""
        return signature(prompt, node_id, host.input_moment)

    def is_off(self, service: Service) -> bool:
        """Tell whether ComfyUI was started with --disable-api-nodes."""
        return bool(off_text(service))
