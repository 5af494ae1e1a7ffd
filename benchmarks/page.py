"""ComfyUI with the pack and without it, in turn: /object_info, the page, and the strips' first answer.

Needs what the lane `browser` needs: ComfyUI, Chromium, Playwright. Prints medians, and the median of the
ratios of neighbours, which the machine's load touches least.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402 - after the path is set
from playwright.sync_api import sync_playwright  # noqa: E402 - likewise

from tests.browser.conftest import CHROMIUM, FLAGS  # noqa: E402 - likewise
from tests.browser.screens import Screen  # noqa: E402 - likewise
from tests.browser.test_first_answer import TEN_NODES, first_answers  # noqa: E402 - likewise
from tests.host.comfy import Comfy, require_host  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Callable

READY = (
    """() => window.app?.extensionManager?.workflow?.activeWorkflow && window.app.graph?.nodes.length > 0"""
)
ALLOWED = 1.05


def main() -> int:
    """Print the figures; fail where the pack costs more than 5 %."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="loads of the page with and without")
    parser.add_argument("--requests", type=int, default=25, help="of /object_info with and without")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="page-") as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        hosts = [_started(Comfy, Path(folder) / "with"), _started(Without, Path(folder) / "without")]
        try:
            found = {
                "object_info": _in_turn(asked.requests, *(_object_info(host.url) for host in hosts)),
                "page_ready": _in_turn(asked.rounds, *(_page(browser, host.url) for host in hosts)),
                "first_answer": _first_answer(browser, hosts[0].url),
                "load_average": round(os.getloadavg()[0], 1),
            }
        finally:
            for host in hosts:
                host.stop()
            browser.close()
    print(json.dumps(found, indent=1))
    return int(max(found["object_info"]["ratio"], found["page_ready"]["ratio"]) > ALLOWED)


class Without(Comfy):
    """The same ComfyUI without the pack."""

    def prepare(self) -> None:
        """Lay out its folder."""
        super().prepare()
        (self.base / "custom_nodes" / "kling-once").unlink()


def _started(kind: type[Comfy], base: Path) -> Comfy:
    places = {"KLING_ONCE_HOME": str(base / "home"), "XDG_CONFIG_HOME": str(base / "config")}
    return kind(require_host("browser"), base, places).start()


def _in_turn(
    rounds: int, with_pack: Callable[[], float], without: Callable[[], float]
) -> dict[str, float | int]:
    """Time both in turn; the first of each fills caches and does not count."""
    pairs = [(with_pack(), without()) for _ in range(rounds + 1)][1:]
    return {
        "with_seconds": round(median(pair[0] for pair in pairs), 4),
        "without_seconds": round(median(pair[1] for pair in pairs), 4),
        "ratio": round(median(ours / theirs for ours, theirs in pairs), 3),
        "rounds": rounds,
    }


def _object_info(url: str) -> Callable[[], float]:
    client = httpx.Client(timeout=60, trust_env=False)

    def ask() -> float:
        began = time.perf_counter()
        client.get(f"{url}/object_info").raise_for_status()
        return time.perf_counter() - began

    return ask


def _page(browser: Any, url: str) -> Callable[[], float]:
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    for name, value in {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.49.6"}.items():
        context.request.post(f"{url}/settings/{name}", data=json.dumps(value))

    def load() -> float:
        page = context.new_page()
        began = time.perf_counter()
        page.goto(url, timeout=120_000)
        page.wait_for_function(READY, timeout=120_000)
        took = time.perf_counter() - began
        page.close()
        return took

    return load


def _first_answer(browser: Any, url: str) -> dict[str, float]:
    """Return when the first and the last of ten strips had their first answer."""
    screen = Screen.open(browser, url)
    answers = first_answers(screen, TEN_NODES)
    screen.context.close()
    return {"first_seconds": round(min(answers), 3), "last_seconds": round(max(answers), 3)}


if __name__ == "__main__":
    sys.exit(main())
