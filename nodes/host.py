# pyright: reportMissingImports=false
# ComfyUI is not installed where types are checked: what comes from it is Any, and it all comes in here.
"""The bridge to ComfyUI: everything of it that the nodes use, and waiting in its way."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import comfy.model_management
import folder_paths
from comfy.cli_args import args
from comfy_api import v0_0_2 as versioned
from comfy_execution import graph_utils
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..kling_once.errors import DiskFull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Future

    from ..kling_once.errors import Violation
    from ..kling_once.jobs.engine import Engine
    from ..kling_once.web.graph import ApiPrompt

ComfyAPI: Any = versioned.ComfyAPI
ComfyExtension: Any = versioned.ComfyExtension
ExecutionBlocker: Any = graph_utils.ExecutionBlocker
InputImpl: Any = versioned.InputImpl
VideoComponents: Any = versioned.Types.VideoComponents
io: Any = versioned.io
ui: Any = versioned.ui
core_nodes: Any = importlib.import_module("nodes")
"""By its text: as a statement, type checkers would read this very package."""

logger = logging.getLogger(__name__)

WORDS_EVENT = "kling_once.words"
LOOK_SECONDS = 0.1
"""How often a waiting node looks at the interrupt flag."""
Value = TypeVar("Value")


STOPPED = (comfy.model_management.InterruptProcessingException, asyncio.CancelledError)
"""How a node hears that nobody waits for it any more."""


class KlingOnceFailure(Exception):
    """What ComfyUI shows: one message."""

    __module__ = "kling_once"


async def watched(future: Future[Value], show: Callable[[], Awaitable[None]] | None = None) -> Value:
    """Wait for work that goes on elsewhere; on interrupt or cancellation let go of it at once."""
    waiting = asyncio.wrap_future(future)
    try:
        while not waiting.done():
            if comfy.model_management.processing_interrupted():
                raise comfy.model_management.InterruptProcessingException
            if show is not None:
                await show()
            await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        return waiting.result()
    finally:
        waiting.cancel()


async def pause() -> None:
    """Let others go on for a moment.

    Raises:
        InterruptProcessingException: the user has stopped the prompt.
    """
    if comfy.model_management.processing_interrupted():
        raise comfy.model_management.InterruptProcessingException
    await asyncio.sleep(LOOK_SECONDS)


_THREADS = ThreadPoolExecutor(4, "kling-once-node")
_DECODING = ThreadPoolExecutor(1, "kling-once-decode-turn")
"""One after another: what is free is measured before each decode."""


async def in_thread(work: Callable[..., Value], *values: Any, **named: Any) -> Value:
    """Run blocking work in a thread; on interrupt let go of it."""
    return await watched(_THREADS.submit(functools.partial(work, *values, **named)))


async def decoding(
    work: Callable[..., Value], *values: Any, show: Callable[[], Awaitable[None]] | None = None
) -> Value:
    """Run a decode that takes `stop` in its turn; on interrupt tell it to stop and let go of it."""
    gone = threading.Event()
    try:
        return await watched(_DECODING.submit(functools.partial(work, *values, stop=gone.is_set)), show)
    finally:
        gone.set()


async def engine() -> Engine:
    """Return this process's engine."""
    return await in_thread(open_engine)


def open_engine() -> Engine:
    """Return this process's engine; blocking. Results go to ComfyUI's output folder unless set otherwise."""
    from ..kling_once.client import shared_client  # noqa: PLC0415 - nothing heavy before a node runs

    browse = "all" if is_private() else "own"
    return shared_client(
        results=output_folder() / "kling_once",
        account_browse=browse,
        embed_workflow=not args.disable_metadata,
    )


def registered_class(node_id: str) -> Any:
    """Return the class that ComfyUI has under a node id now, None where there is none."""
    return core_nodes.NODE_CLASS_MAPPINGS.get(node_id)


def place_of(node_class: Any) -> str:
    """Return where a node class comes from, such as `custom_nodes/acme`, or the name of core's module."""
    module = getattr(node_class, "RELATIVE_PYTHON_MODULE", None) or "nodes"
    return module.replace("custom_nodes.", "custom_nodes/", 1)


def when_all_packs_are_loaded(call: Callable[[], None]) -> None:
    """Call this once, right before the server answers. An error of it is logged and ends nothing."""

    async def run(_app: Any) -> None:
        try:
            call()
        except Exception:
            logger.exception("A look at the loaded packs failed.")

    hooks = PromptServer.instance.app.on_startup
    if not hooks.frozen:  # a pack that is loaded into a running server comes too late for it
        hooks.append(run)


def is_private() -> bool:
    """Tell whether ComfyUI listens on this machine only."""
    hosts = str(args.listen).split(",")
    return all(host.strip() in {"127.0.0.1", "localhost", "::1"} for host in hosts)


def output_folder() -> Path:
    """Return ComfyUI's output folder."""
    return Path(folder_paths.get_output_directory())


def temp_folder() -> Path:
    """Return a folder of ours that ComfyUI empties when it starts.

    Raises:
        DiskFull: it cannot be made.
    """
    folder = Path(folder_paths.get_temp_directory()) / "kling_once"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise temp_folder_full(error) from None
    return folder


def temp_folder_full(error: OSError) -> DiskFull:
    """Return what people are told when the temp folder takes no more."""
    return DiskFull(
        f"ComfyUI's temp folder cannot be written: {error.strerror or error}.",
        hint="Nothing was submitted. Free some space on that disk.",
    )


def input_folder() -> Path:
    """Return ComfyUI's input folder."""
    return Path(folder_paths.get_input_directory())


def input_moment(name: str) -> float | None:
    """Return when an input file that a widget names was changed, None when it names none."""
    if not name or len(name) > 500 or "\n" in name or not folder_paths.exists_annotated_filepath(name):  # noqa: PLR2004 - a prompt, not a file name
        return None
    path = Path(folder_paths.get_annotated_filepath(name))
    try:
        return path.stat().st_mtime if path.is_file() else None
    except OSError:  # gone in this moment
        return None


def paid_services_are_off() -> bool:
    """Tell whether the operator started ComfyUI with --disable-api-nodes."""
    return bool(args.disable_api_nodes)


def running_place() -> tuple[str, str, int]:
    """Return prompt, node and list position of what runs here; empty outside of a prompt."""
    context = get_executing_context()
    if context is None:
        return "", "", 0
    return context.prompt_id, context.node_id, context.list_index or 0


def running_prompt(prompt_id: str) -> ApiPrompt:
    """Return the API prompt that is running under this id, empty when there is none."""
    queue = PromptServer.instance.prompt_queue
    with queue.mutex:
        for item in queue.currently_running.values():
            if item[1] == prompt_id:
                return item[2]
    return {}


def whole_prompt(dynamic: Any) -> ApiPrompt | None:
    """Return the API prompt with the nodes that running ones have put in, None where that is not known."""
    if dynamic is None:
        return None
    return {name: dynamic.get_node(name) for name in dynamic.all_node_ids()}


def tell_words(text: str, broken: Sequence[Violation] = ()) -> None:
    """Tell the client that queued the sentences of a text, before ComfyUI itself shows that."""
    from ..kling_once.web.answers import Told  # noqa: PLC0415 - nothing heavy before a node runs

    server = PromptServer.instance
    if server.client_id is not None:
        server.send_sync(WORDS_EVENT, Told.of(text, broken).model_dump(mode="json"), server.client_id)


async def show_progress(node_id: str, fraction: float, text: str) -> None:
    """Move the node's bar, and put a text under it for the client that queued."""
    await ComfyAPI().execution.set_progress(fraction, 1.0, node_id=node_id)
    server = PromptServer.instance
    if server.client_id is not None:
        server.send_progress_text(text, node_id, server.client_id)
