"""The template for App mode: picture, clip and prompt go in; the video, or why there is none, is seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOTION = "KlingOnce_MotionControl"


def opened(seen: Any) -> Any:
    """Open the template; a person who never saw an app skips ComfyUI's tour of it."""
    seen.open_template("9 as an app")
    page = seen.page
    page.add_locator_handler(
        page.get_by_role("button", name="Skip", exact=True), lambda button: button.click()
    )
    return page.get_by_role("button", name="Run", exact=True)


def test_an_app_asks_for_picture_clip_and_prompt_and_shows_the_video(
    comfy: Any, inputs: Any, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    run = opened(seen)
    for label in ("image", "file", "prompt"):
        seen.page.get_by_text(label, exact=True).filter(visible=True).first.wait_for()
    seen.page.locator("textarea:visible").first.fill("a dancer in the rain")
    run.click()
    video = seen.page.locator("video[src*='filename=app_']").first
    video.wait_for(timeout=90_000)
    prompt = seen.page.evaluate(
        "type => window.app.graph.nodes.find(one => one.comfyClass === type)"
        ".widgets.find(one => one.name === 'prompt').value",
        MOTION,
    )
    assert prompt == "a dancer in the rain"
    shot(seen, "app-done")


def test_a_refusal_is_seen_in_the_app_as_well(
    comfy: Any, inputs: Any, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    run = opened(seen)
    seen.widget(MOTION, "service", "kling")
    run.click()
    seen.page.get_by_text("Kling Once Motion Control failed").filter(visible=True).first.wait_for()
    told = seen.said("The clip is a file on this machine")
    assert told.is_visible()
    shot(seen, "app-refused")
