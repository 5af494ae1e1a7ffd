"""A newcomer's way: nothing configured, the first example, Run, and a video."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page


def playing(page: Page, selector: str) -> None:
    """Wait until a video moves."""
    page.wait_for_function(
        """selector => {
             const video = [...document.querySelectorAll(selector)].find(one => one.readyState >= 2);
             if (video?.paused) { video.muted = true; video.play(); }
             return video && video.currentTime > 0.2 && video.videoWidth > 0;
           }""",
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
        seen.wait_for_badge("sandbox, free")
        seen.run()
        tasks.wait_for("under_way")
        shot(seen, "newcomer-progress")
        row = tasks.wait_for("kept", 120_000)
        playing(seen.page, "video[src*='type=output']")
        tasks.open(row.locator(":scope"))
        playing(seen.page, ".kling-direct-video")
        shot(seen, "newcomer-done")
    finally:
        comfy.stop()
