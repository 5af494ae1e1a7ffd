"""ComfyUI's entry to Kling Once. Nothing is imported here before ComfyUI asks for the nodes."""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./js"


async def comfy_entrypoint() -> Any:
    """Return the extension that lists the nodes."""
    from .nodes.extension import KlingOnceExtension  # noqa: PLC0415 - pytest imports this file

    return KlingOnceExtension()
