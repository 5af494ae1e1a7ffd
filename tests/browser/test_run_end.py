"""Who looks elsewhere is told how a run ended, and finds that still said on coming back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOTION = "KlingOnce_MotionControl"
CHECK = "KlingOnce_CheckMotionControl"
READY = "The video is ready."


@pytest.fixture
def away(comfy: Any, inputs: Path, screen: Callable[..., Any]) -> Any:
    """Open a page in the background, with everything that its toasts were told."""
    seen = screen(comfy.url)
    seen.page.evaluate(
        """() => {
             Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
             const { toast } = window.app.extensionManager;
             const { add } = toast;
             window.toasts = [];
             toast.add = message => { window.toasts.push(message); add(message); };
             window.ends = 0;
             for (const name of ["execution_success", "execution_error"])
               window.app.api.addEventListener(name, () => { window.ends += 1; });
           }"""
    )
    return seen


def ended(seen: Any) -> list[dict[str, Any]]:
    """Wait for the run's end; return what the toasts were told."""
    seen.page.wait_for_function("() => window.ends > 0", timeout=60_000)
    return seen.page.evaluate("window.toasts")


def test_a_finished_video_is_told_until_somebody_closes_it(away: Any, shot: Callable[..., Any]) -> None:
    away.open_template("1 motion control")
    away.widget(MOTION, "take", 501)
    away.run()
    away.said(READY)
    (toast,) = ended(away)
    assert "life" not in toast
    shot(away, "toast-done")


def test_a_failed_run_is_told_until_somebody_closes_it(away: Any, shot: Callable[..., Any]) -> None:
    away.open_template("1 motion control")
    away.widget(MOTION, "service", "kling")
    away.run()
    away.said("The clip is a file on this machine")
    (toast,) = ended(away)
    assert "life" not in toast
    shot(away, "toast-failed")


def test_a_check_in_the_background_announces_no_video(away: Any) -> None:
    away.open_template("3 check before you pay")
    away.page.evaluate(
        """type => window.app.graph.nodes.filter(one => one.comfyClass === type)
             .forEach(one => { one.mode = 2; })""",
        MOTION,
    )
    away.run()
    assert ended(away) == []


def test_who_looks_at_the_page_is_not_told(away: Any) -> None:
    away.page.evaluate(
        "() => Object.defineProperty(document, 'hidden', { configurable: true, get: () => false })"
    )
    away.open_template("1 motion control")
    away.widget(MOTION, "take", 502)
    away.run()
    assert ended(away) == []
