"""The page's routes in ComfyUI's server, and the news that it hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..kling_once.jobs.watchers import SHARED
from ..routes.place import Place
from ..routes.registration import register
from . import host
from .graph import signature
from .orders import off_text

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
