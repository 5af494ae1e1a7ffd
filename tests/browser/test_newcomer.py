"""A newcomer's way: nothing configured, the first example, Run, and a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


OURS = "video[src*='subfolder=kling_once']"
"""Our node's preview plays the kept file itself; the one of Save Video plays its copy elsewhere."""


def playing(page: Page, selector: str) -> None:
    """Wait until a video moves."""
    page.wait_for_function(
        """selector => [...document.querySelectorAll(selector)].some(one =>
             !one.paused && one.currentTime > 0.2 && one.videoWidth > 0)""",
        arg=selector,
        timeout=60_000,
    )


def test_a_newcomer_gets_a_video_on_the_node_and_in_the_sidebar(
    comfy_at: Callable[..., Any], screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    comfy = comfy_at().start()
    try:
        seen = screen(comfy.url)
        seen.browse_templates().choose("1 motion control")
        tasks = seen.tasks()
        seen.wait_for_strip("sandbox, free")
        seen.run()
        tasks.wait_for("under_way")
        shot(seen, "newcomer-progress")
        row = tasks.wait_for("kept", 120_000)
        seen.look_at(scale=0.5)
        seen.page.locator(OURS).first.click()
        playing(seen.page, OURS)
        row.get_by_role("button", name="Play").click()
        playing(seen.page, ".kling-once-video")
        shot(seen, "newcomer-done")
    finally:
        comfy.stop()
