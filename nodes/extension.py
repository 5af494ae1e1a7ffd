"""The list of nodes, and what happens when ComfyUI loads them."""

from __future__ import annotations

import logging
import shutil
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..kling_once.jobs.progress import SHARED
from ..kling_once.web import mount
from . import host
from .elements import ChosenElement, CreateElement, ListElements
from .frames import VideoFrames
from .motion_control import (
    CheckMotionControl,
    CollectMotionControl,
    MotionControl,
    SubmitMotionControl,
)
from .orders import is_off
from .parts import JoinVideos, SplitVideo
from .tasks import FetchTask, ListTasks

if TYPE_CHECKING:
    from ..kling_once.jobs.engine import Engine
    from ..kling_once.order import Service

logger = logging.getLogger(__name__)

PACK_FOLDER = Path(__file__).parents[1]
OUR_PLACE = f"custom_nodes/{PACK_FOLDER.name}"
DEMO_FOLDER = PACK_FOLDER / "kling_once" / "demo"
DEMO_FILES = {
    "kling_once/character.png": "character.png",
    "kling_once/motion.mp4": "motion.mp4",
    "kling_once_character.png": "character.png",
    "kling_once_motion.mp4": "motion.mp4",
    "kling_once_long_motion.mp4": "long_motion.mp4",
}
"""Where each is put in ComfyUI's input folder. The page's loaders list no file in a folder, and a workflow
that names one there opens with "2 errors found: missing inputs": the examples name the two beside it."""


NODES = (
    MotionControl,
    CheckMotionControl,
    SubmitMotionControl,
    CollectMotionControl,
    FetchTask,
    ListTasks,
    VideoFrames,
    CreateElement,
    ListElements,
    ChosenElement,
    SplitVideo,
    JoinVideos,
)


class KlingOnceExtension(host.ComfyExtension):
    """Kling Once's nodes."""

    async def on_load(self) -> None:
        """Open the page's routes; put the files of the examples into ComfyUI's input folder."""
        open_page()
        host.when_all_packs_are_loaded(NodeIds().warn)
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
        return list(NODES)


class NodeIds:
    """Who has our node ids, seen before ours are registered and once every pack is loaded.

    ComfyUI lets the last pack that registers an id have it, and says nothing.
    """

    def __init__(self) -> None:
        self._ours = {node.GET_SCHEMA().node_id: node for node in NODES}
        self._before = {node_id: host.registered_class(node_id) for node_id in self._ours}

    def warn(self) -> None:
        """Log one line for each other pack that registers an id of ours."""
        found = defaultdict(list)
        for node_id, ours in self._ours.items():
            now, before = host.registered_class(node_id), self._before[node_id]
            if now is not None and now is not ours:
                found[host.place_of(now), host.place_of(now)].append(node_id)
            elif before is not None:
                found[host.place_of(before), OUR_PLACE].append(node_id)
        for (other, used), ids in found.items():
            logger.warning(
                "%s and %s register the same node ids: %s. ComfyUI uses those of %s."
                " Remove or disable one of the two packs.",
                OUR_PLACE,
                other,
                ", ".join(ids),
                used,
            )


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

    def input_moment(self, name: str) -> float | None:
        """Return when an input file that a widget names was changed."""
        return host.input_moment(name)

    def is_watched(self) -> bool:
        """Tell whether a page is open: each has a web socket."""
        return bool(host.PromptServer.instance.sockets)

    def is_off(self, service: Service) -> bool:
        """Tell whether ComfyUI was started with --disable-api-nodes."""
        return is_off(service)
