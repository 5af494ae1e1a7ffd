"""From the strip to a run on one's own account: a key, a bucket, and the run, without leaving the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.sandbox import DEFAULT_API_KEY
from tests.browser.screens import STRIP
from tests.browser.test_newcomer import OURS, playing
from tests.slowness import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOTION = "KlingOnce_MotionControl"
WAITED_SECONDS = 10
"""A newcomer waits no longer than this from Run to the result, on a machine that is not busy otherwise."""
KEY, SECRET = "AKIAEXAMPLEEXAMPLE00", "not/a+real=secret-0123456789"


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = pytest.importorskip("botocore.session").get_session()
    client = session.create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket="my-clips")
    yield f"http://{host}:{port}"
    server.stop()


def test_from_a_template_to_a_result_and_on_to_ones_own_account(
    comfy_at: Callable[..., Any],
    screen: Callable[..., Any],
    shot: Callable[..., Any],
    sandbox: Any,
    s3_address: str,
) -> None:
    sandbox.tasks_take(polls=2)
    comfy = comfy_at(KLINGAI_BASE_URL=sandbox.origin).start()
    try:
        seen = screen(comfy.url)
        seen.browse_templates().choose("1 motion control")
        seen.wait_for_strip("sandbox, free")
        watch = Stopwatch()
        seen.run()
        seen.wait_for_strip("already made, free")
        assert watch.seconds() < WAITED_SECONDS
        seen.look_at(scale=0.5)
        seen.page.locator(OURS).first.click()
        playing(seen.page, OURS)

        seen.widget(MOTION, "service", "kling")
        seen.wait_for_strip("No key is stored")
        press_on_the_strip(seen, "Add a key")
        panel = seen.page.locator(".kling-once-panel")
        shot(seen, "setup-keys")
        form = panel.locator("form").first
        assert form.get_by_label("Region").input_value() == ""  # as the server is set
        form.locator("input[type=password]").first.fill(DEFAULT_API_KEY)
        form.get_by_role("button", name="Save").click()
        panel.get_by_text("Saved on the server.").wait_for()
        wait_until_gone(seen, "No key")
        seen.wait_for_strip("The clip is a file on this machine")

        press_on_the_strip(seen, "Set up a place")
        form = panel.locator(".kling-once-hosting form").first
        form.get_by_label("Endpoint").fill(s3_address)
        form.get_by_label("Bucket name").fill("nobody-has-it")
        form.get_by_label("Region").fill("us-east-1")
        form.get_by_label("Access key").fill(KEY)
        form.get_by_label("Secret key").fill(SECRET)
        form.get_by_role("button", name="Try and save").click()
        panel.get_by_text("the bucket does not exist there").wait_for()
        shot(seen, "setup-bucket")
        form.get_by_label("Bucket name").fill("my-clips")
        form.get_by_role("button", name="Try and save").click()
        panel.get_by_text("Clips go to s3://my-clips.").wait_for()
        shot(seen, "setup-done")
        wait_until_gone(seen, "The clip is a file")
        assert seen.strip() == ["up to 2 units (0.28 USD)"]

        before = len(sandbox.creates())
        seen.run()
        seen.wait_for_strip("already paid, free")
        assert len(sandbox.creates()) == before + 1
        assert SECRET not in seen.page.evaluate(
            "() => JSON.stringify([{...localStorage}, document.body.innerText])"
        )
        seen.complaints.clear()  # the browser logs the refusal of the wrong bucket
    finally:
        comfy.stop()


def wait_until_gone(seen: Any, text: str) -> None:
    """Wait until no line of the strip begins so, and the answer is there."""
    seen.page.wait_for_function(
        f"""([type, text]) => {{
             const lines = ({STRIP})(window.app.graph.nodes.find(one => one.comfyClass === type));
             return lines.length && !lines.some(one => one.startsWith(text) || one.startsWith("checking"));
           }}""",
        arg=[MOTION, text],
    )


def press_on_the_strip(seen: Any, label: str) -> None:
    """Press a button of the strip as it stands on the node."""
    seen.page.evaluate(
        """([type, label]) => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             const { element } = node.widgets.find(one => one.name === "kling_once_strip");
             [...element.querySelectorAll("button")].find(one => one.textContent === label).click();
           }""",
        [MOTION, label],
    )
