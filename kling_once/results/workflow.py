"""The workflow that ordered a video, put into its file, so that the file opens its graph."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from ..accounts.profiles import known_secrets
from ..errors import KlingOnceError
from ..hosting.media_host import looks_signed
from ..media.tags import tag_mp4
from ..origins import url_parts

if TYPE_CHECKING:
    from pathlib import Path

    from ..ledger.ledger import Ledger
    from ..order import Graph
    from ..settings import Settings

logger = logging.getLogger(__name__)

ADDRESS: Final = re.compile(r"https?://[^\s\"'<>\\]+", re.IGNORECASE)
OPAQUE: Final = re.compile(r"[?&;][^=&;]*=[^&;]{20,}")
"""A parameter as long as a signature: it is left out even where its name says nothing."""
LEFT_OUT: Final = "(left out)"
LARGEST_BYTES: Final = 16_000_000
"""Of a workflow: a larger one holds files, and would be a burden to whoever opens the video."""


async def embed_workflow(
    settings: Settings, ledger: Ledger, job_key: str, graph: Graph | None, part: Path
) -> None:
    """Put the workflow of a job into its video; the file stays as it is where that cannot be done.

    Args:
        settings: `embed_workflow` may forbid it.
        ledger: It knows the workflow of a job where the order is not at hand.
        job_key: The job.
        graph: What the order came from.
        part: The video, verified; it is replaced by rename.
    """
    if not settings.embed_workflow:
        return
    try:
        workflow = graph.workflow if graph else await ledger.workflow_of(job_key)
        found = {"workflow": workflow, "prompt": graph.prompt if graph else None}
        if any(found.values()):
            await asyncio.to_thread(_embed, settings, part, found)
    except (KlingOnceError, OSError, ValueError, RecursionError) as error:
        logger.warning("The workflow could not be put into the video of job %s: %s", job_key[:10], error)


def _embed(settings: Settings, part: Path, found: dict[str, Any]) -> None:
    secrets = known_secrets(settings)
    tags = {name: json.dumps(cleaned(value, secrets)) for name, value in found.items() if value}
    if sum(map(len, tags.values())) > LARGEST_BYTES:
        return
    tagged = part.with_name(f"{part.stem}.tagged.part")  # a left-over goes away with those of downloads
    if tag_mp4(part, tagged, tags):
        tagged.replace(part)


def cleaned(value: Any, secrets: frozenset[str]) -> Any:
    """Return JSON without keys, and without what signs an address in it."""
    if isinstance(value, dict):
        return {_cleaned_text(str(name), secrets): cleaned(item, secrets) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(item, secrets) for item in value]
    return _cleaned_text(value, secrets) if isinstance(value, str) else value


def _cleaned_text(text: str, secrets: frozenset[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, LEFT_OUT)
    return ADDRESS.sub(_unsigned, text)


def _unsigned(found: re.Match[str]) -> str:
    """Return an address; without its parameters and its password where it seems to be signed."""
    url = found.group()
    if not looks_signed(url) and not OPAQUE.search(url) and "@" not in url_parts(url).netloc:
        return url
    parts = url_parts(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
