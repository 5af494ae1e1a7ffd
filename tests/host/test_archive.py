"""The registry's archive, installed into a ComfyUI of its own, as ComfyUI-Manager does it."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest

from tests.host.comfy import ROOT, Comfy
from tests.publishing.archive import make_archive

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUED = Path(__file__).parent / "queued" / "1 motion control.json"


@pytest.fixture
def installed(host: Any, tmp_path: Path) -> Iterator[Comfy]:
    """Unpack the archive into custom_nodes and install its requirements; nothing else is set up."""
    folder = tmp_path / "base" / "custom_nodes" / "kling-once"
    with zipfile.ZipFile(make_archive(tmp_path / "node.zip")) as archive:
        archive.extractall(folder)
    asked = [host.python, "-m", "pip", "install", "--quiet", "--requirement", folder / "requirements.txt"]
    ended = subprocess.run([str(part) for part in asked], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    environment = {"KLING_ONCE_HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    running = Comfy(host, tmp_path / "base", environment)
    yield running.start()
    running.stop()


def test_the_archive_loads_and_its_first_template_runs(installed: Comfy) -> None:
    pack = installed.base / "custom_nodes" / "kling-once"
    assert not pack.is_symlink()
    assert "IMPORT FAILED" not in installed.log
    ours = {
        name: info for name, info in installed.get("/object_info").items() if name.startswith("KlingOnce_")
    }
    assert {info["python_module"] for info in ours.values()} == {"custom_nodes.kling-once"}
    promised = json.loads((ROOT / "tests" / "nodes" / "promises.json").read_text(encoding="utf-8"))
    assert set(ours) == set(promised)
    templates = installed.get("/workflow_templates")["kling-once"]
    assert sorted(templates) == sorted(path.stem for path in (ROOT / "example_workflows").glob("*.json"))
    assert installed.status("/extensions/kling-once/kling_once.js") == 200

    prompt = json.loads(QUEUED.read_text(encoding="utf-8"))
    ended = installed.succeed(prompt, 240)
    (save,) = (name for name, node in prompt.items() if node["class_type"] == "SaveVideo")
    file = ended.file(save)
    with av.open(str(installed.base / "output" / file["subfolder"] / file["filename"])) as video:
        assert video.streams.video[0].frames > 0
    assert list((installed.base / "output" / "kling_once").rglob("*.mp4"))


def test_the_unpacked_pack_writes_nothing_into_its_own_folder(installed: Comfy) -> None:
    pack = installed.base / "custom_nodes" / "kling-once"
    packed = set(zipfile.ZipFile(installed.base.parent / "node.zip").namelist())
    here = {path.relative_to(pack).as_posix() for path in pack.rglob("*") if path.is_file()}
    assert {name for name in here - packed if "__pycache__" not in name} == set()
