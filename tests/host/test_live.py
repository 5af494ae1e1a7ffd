"""The live service, for which the sandbox stands in, and ComfyUI with nothing configured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kling_once.clock import SystemClock
from kling_once.ledger.ledger import Ledger
from kling_once.sandbox import DEFAULT_API_KEY


def test_a_kept_video_is_handed_over_on_hold_and_with_api_nodes_off(
    own_comfy: Any, sandbox: Any, graphs: Any
) -> None:
    live = {"KLINGAI_API_KEY": DEFAULT_API_KEY, "KLINGAI_BASE_URL": sandbox.origin}
    comfy = own_comfy(**live).start()
    url = sandbox.upload(comfy.base / "input" / "kling_once" / "motion.mp4")

    def ordered(take: int) -> Any:
        source = {"motion_source": "url", "motion_source.url": url}
        return graphs.motion(service="kling", take=take, **source) | {"units": graphs.show("motion", 7)}

    kept, other = ordered(1), ordered(2)
    before = len(sandbox.creates())
    assert comfy.succeed(kept).seen("units")[0] > 0
    ledger = Ledger(Path(comfy.environment["KLING_ONCE_HOME"]), SystemClock())
    asyncio.run(ledger.hold())
    assert "on hold since" in comfy.run(other).error["exception_message"]
    comfy.succeed(kept)
    asyncio.run(ledger.release_hold())
    ledger.close()
    comfy.stop()
    off = own_comfy("--disable-api-nodes", **live).start()
    calls = len(sandbox.calls())
    off.succeed(kept)
    assert "--disable-api-nodes" in off.run(other).error["exception_message"]
    assert len(sandbox.calls()) == calls, "nobody was asked"
    assert len(sandbox.creates()) == before + 1


@pytest.mark.usefixtures("sandbox")
def test_the_sandbox_needs_no_configuration_and_a_users_own_file_is_left_alone(
    own_comfy: Any, graphs: Any
) -> None:
    comfy = own_comfy()
    comfy.environment = {"KLING_ONCE_HOME": comfy.environment["KLING_ONCE_HOME"]}
    own = comfy.base / "input" / "kling_once" / "character.png"
    own.parent.mkdir(parents=True)
    Image.radial_gradient("L").resize((400, 500)).convert("RGB").save(own)
    mine = own.read_bytes()
    comfy.start()
    ended = comfy.succeed(graphs.motion() | {"file": graphs.show("motion", 0)})
    kept = Path(ended.seen("file")[0]["file"])
    assert kept.is_relative_to(comfy.base / "output" / "kling_once" / "sandbox")
    assert kept.name.startswith("SANDBOX_")
    width, height = ended.seen("file")[0]["size"]
    assert width / height == pytest.approx(0.8, abs=0.03)
    assert own.read_bytes() == mine
