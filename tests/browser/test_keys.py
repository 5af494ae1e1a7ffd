"""A key is saved, said to be there, and seen nowhere."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "sk-browser-lane-key-0123456789-never-to-be-seen"


def files_with(root: Path, text: str) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def no_answer_holds_it(answers: list[Any]) -> None:
    """Look at what our routes and ComfyUI's stores have answered, before the page goes on."""
    while answers:
        answer = answers.pop()
        if re.search(r"/api/(kling_once|settings|userdata)", answer.url) and answer.status < 300:
            assert SECRET not in answer.text(), answer.url


def test_a_saved_key_is_configured_after_a_reload_and_in_no_place_but_the_file(
    comfy: Any, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)
    answers: list[Any] = []
    seen.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks it
    keys = seen.keys()
    keys.save("mine", SECRET)
    keys.page.locator('.kling-once-profiles li[data-profile="mine"]').wait_for()
    assert keys.state("mine") == "configured, from file · Global"
    shot(seen, "keys-saved")
    no_answer_holds_it(answers)
    answers.clear()
    seen.load()
    keys = seen.keys()
    assert keys.state("mine") == "configured, from file · Global"
    no_answer_holds_it(answers)
    stored = seen.page.evaluate("() => JSON.stringify([{...localStorage}, {...sessionStorage}])")
    workflow = seen.page.evaluate("async () => JSON.stringify(await window.app.graphToPrompt())")
    settings = json.dumps(comfy.get("/settings"))
    assert SECRET not in stored + workflow + settings + comfy.log
    (path,) = files_with(comfy.base, SECRET)
    assert path.name == "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_the_account_takes_is_said_to_work(comfy: Any, screen: Callable[..., Any]) -> None:
    keys = screen(comfy.url).keys()
    row = keys.page.locator('.kling-once-profiles li[data-profile="studio"]')
    row.get_by_role("button", name="Test").click()
    keys.page.wait_for_function(
        "() => document.querySelector('.kling-once-said').textContent.startsWith('Kling takes the key.')"
    )


def test_replacing_a_key_asks(
    comfy: Any, screen: Callable[..., Any], shot: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    keys = screen(comfy.url).keys()
    keys.save("twice", SECRET)
    keys.page.locator('.kling-once-profiles li[data-profile="twice"]').wait_for()
    keys.save("twice", SECRET + "-new")
    question = keys.page.get_by_text("Profile twice has a key already. Replace it?")
    question.wait_for()
    assert "one of another account cannot collect them" in question.inner_text()
    shot(keys, "keys-replace")
    keys.page.get_by_role("button", name="Confirm").click()
    path = comfy.base / "config" / "kling-once" / "credentials.json"
    eventually(lambda: SECRET + "-new" in path.read_text(), "the key is replaced")


def test_a_profile_that_has_a_key_begins_with_its_region(comfy: Any, screen: Callable[..., Any]) -> None:
    seen = screen(comfy.url)
    keys = seen.keys()
    region = keys.form.get_by_label("Region")
    region.select_option("china")
    keys.save("beijing", SECRET)
    keys.row("beijing").wait_for()
    seen.load()
    keys = seen.keys()
    region = keys.form.get_by_label("Region")
    keys.row("beijing").wait_for()
    assert region.input_value() == "global"
    keys.form.get_by_label("Profile").fill("beijing")
    assert region.input_value() == "china"


def test_access_and_secret_key_are_saved_together_and_forgotten_after_a_question(
    comfy: Any, screen: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    keys = screen(comfy.url).keys()
    keys.save("pair", "access-" + SECRET, "secret-" + SECRET)
    row = keys.row("pair")
    row.wait_for()
    path = comfy.base / "config" / "kling-once" / "credentials.json"
    stored = json.loads(path.read_text())["profiles"]["pair"]
    assert (stored["access_key"], stored["secret_key"]) == ("access-" + SECRET, "secret-" + SECRET)
    assert keys.form.get_by_label("Secret key", exact=True).input_value() == ""
    row.get_by_role("button", name="Forget").click()
    keys.page.get_by_text("Forget the key of profile pair?").wait_for()
    assert "pair" in path.read_text()
    keys.page.get_by_role("button", name="Confirm").click()
    row.wait_for(state="detached")
    eventually(lambda: "access-" + SECRET not in path.read_text(), "the key is forgotten")


def test_a_key_is_used_at_the_servers_own_address_unless_a_region_is_chosen(
    comfy_at: Callable[..., Any], sandbox: Any, screen: Callable[..., Any]
) -> None:
    comfy = comfy_at(KLINGAI_BASE_URL=sandbox.origin)
    comfy.start()
    try:
        keys = screen(comfy.url).keys()
        region = keys.form.get_by_label("Region")
        keys.page.wait_for_function(
            "element => element.selectedOptions[0]?.textContent === 'As the server is set'",
            arg=region.element_handle(),
        )
        keys.form.get_by_label("Profile").fill("mine")
        assert region.input_value() == "global", "no named profile falls back to it"
        keys.form.get_by_label("Profile").fill("")
        region.select_option("")
        keys.save("", SECRET)
        keys.page.wait_for_function(
            "() => document.querySelector('.kling-once-said').textContent === 'Saved on the server.'"
        )
        assert keys.state("") == f"configured, from file · Other address {sandbox.origin}"
    finally:
        comfy.stop()
