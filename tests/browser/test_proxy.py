"""Behind a real reverse proxy the panel works, and keys cannot be written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {target};
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""


@pytest.fixture
def proxied(comfy: Any, tmp_path: Path, free_port: int, eventually: Callable[..., Any]) -> Iterator[str]:
    if NGINX is None and os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail("REQUIRE_BROWSER=1, and nginx is not installed")
    if NGINX is None:
        pytest.skip("nginx is not installed")
    path = tmp_path / "nginx.conf"
    path.write_text(CONFIGURATION.format(folder=tmp_path, port=free_port, target=comfy.url))
    process = subprocess.Popen([NGINX, "-c", str(path), "-p", str(tmp_path)])
    url = f"http://127.0.0.1:{free_port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/system_stats", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    eventually(answers, "nginx serves ComfyUI")
    yield url
    process.terminate()
    process.wait(20)


def test_through_nginx_the_panel_works_and_keys_are_not_written(
    comfy: Any, proxied: str, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    seen = screen(proxied)
    tasks = seen.tasks()
    tasks.press("Hold live submissions")
    seen.page.locator('.kling-once-hold[data-held="true"]').wait_for()
    tasks.press("Release")
    seen.page.locator('.kling-once-hold[data-held="false"]').wait_for()
    keys = seen.keys()
    keys.page.get_by_text("Keys can be written only in a browser on the server itself").wait_for()
    keys.save("proxied", "a-key-through-the-proxy")
    keys.page.get_by_text("Run 'kling-once keys allow' there and type the code.").wait_for()
    shot(seen, "keys-proxied")
    answer = httpx.post(
        f"{proxied}/kling_once/keys",
        json={"profile": "proxied", "api_key": "a-key-through-the-proxy"},
        headers={"Origin": proxied},
    )
    assert answer.status_code == 403
    assert "KLINGAI_API_KEY" in answer.json()["hint"]
    credentials = comfy.base / "config" / "kling-once" / "credentials.json"
    assert "proxied" not in credentials.read_text()


def test_through_nginx_a_key_is_written_with_a_one_time_code(
    comfy: Any, proxied: str, screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    command = [sys.executable, "-P", "-m", "kling_once.cli.app", "keys", "allow"]
    printed = subprocess.run(
        command, env=os.environ | comfy.environment, capture_output=True, text=True, check=True
    ).stdout
    (code,) = re.findall(r"\b[A-Z0-9]{4}(?:-[A-Z0-9]{4})+\b", printed)
    keys = screen(proxied).keys()
    keys.save("afar", "a-key-with-a-code-0123456789")
    asked = keys.page.get_by_role("dialog").last.get_by_role("textbox")
    asked.fill(code)
    shot(keys, "keys-code")
    asked.press("Enter")
    keys.row("afar").wait_for()
    credentials = comfy.base / "config" / "kling-once" / "credentials.json"
    assert "a-key-with-a-code-0123456789" in credentials.read_text()
