"""A kept video carries the workflow that ordered it, and nothing that is secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import av
import pytest

from kling_once.files import file_digest
from kling_once.order import Graph, VideoFile
from kling_once.results import workflow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl

SIGNED = "https://bucket.example.com/dance.mp4?X-Amz-Signature=5d41402abc4b2a76b9719d911017c592&X-Amz-Date=1"
LINK = "https://cdn.example.com/result.mp4?x-auth=c29tZS1vcGFxdWUtdmFsdWUtb2YtYS1saW5r"
PLAIN = "https://example.com/watch?v=dQw4w9WgXcQ"
KEY, SECRET = "api-key-of-the-studio-0123456789", "secret-key-of-the-studio-0123456789"
PROMPT = {"3": {"class_type": "KlingOnce_MotionControl", "inputs": {"motion_source.url": SIGNED}}}
WORKFLOW = {"nodes": [{"id": 3, "widgets_values": [SIGNED, LINK, PLAIN, f"typed by mistake: {KEY}"]}]}
GRAPH = Graph("signature", WORKFLOW, PROMPT)


def tags_of(path: Path) -> dict[str, Any]:
    with av.open(str(path)) as container:
        return {
            name: json.loads(text)
            for name, text in container.metadata.items()
            if name in {"workflow", "prompt"}
        }


@pytest.fixture
def at_the_sandbox(tmp_path: Path) -> Callable[[], list[bytes]]:
    """Return every clip and result that the sandbox holds."""
    return lambda: [path.read_bytes() for path in (tmp_path / "sandbox-state").rglob("*") if path.is_file()]


@pytest.fixture
def studio(tmp_path: Path, hermetic: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have keys in the environment and in a profile."""
    monkeypatch.setenv("KLINGAI_API_KEY", KEY)
    path = tmp_path / "config" / "kling-once" / "credentials.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"profiles": {"other": {"access_key": "a" * 20, "secret_key": SECRET}}}))
    path.chmod(0o600)


def test_a_kept_video_opens_its_graph_and_is_found_again(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    workflow = {"nodes": [{"id": 1, "type": "KlingOnce_MotionControl"}], "links": []}
    graph = Graph("signature", workflow, {"1": {"class_type": "KlingOnce_MotionControl", "inputs": {}}})
    outcome = engine.run(order(graph=graph)).result(30)
    assert tags_of(outcome.path) == {"workflow": workflow, "prompt": graph.prompt}
    sidecar = json.loads(outcome.path.with_suffix(".json").read_text())
    assert sidecar["digest"] == file_digest(outcome.path)
    assert sidecar["size_bytes"] == outcome.path.stat().st_size


def test_a_lost_ledger_finds_the_video_with_its_workflow(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    ledger_file: LedgerFile,
) -> None:
    first = engines()
    kept = first.run(order(graph=GRAPH)).result(30)
    first.close()
    ledger_file.lose()
    again = engines().run(order(graph=GRAPH)).result(30)
    assert again.reused
    assert again.path == kept.path
    assert len(sandbox.creates()) == 1


def test_no_key_and_no_signature_gets_into_the_file(
    studio: None, sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    workflow = json.loads(json.dumps(WORKFLOW))
    workflow["extra"] = {"note": f"{SECRET} {'a' * 20}", KEY: "https://user:pass@example.com/clip.mp4"}
    outcome = engine.run(order(graph=Graph("signature", workflow, PROMPT))).result(30)
    data = outcome.path.read_bytes()
    hunted = (KEY, SECRET, "a" * 20, "Signature", "5d41402abc", "x-auth", "c29tZS1v", "user:pass")
    assert [text for text in hunted if text.encode() in data] == []
    found = tags_of(outcome.path)
    values = found["workflow"]["nodes"][0]["widgets_values"]
    assert values == [
        "https://bucket.example.com/dance.mp4",
        "https://cdn.example.com/result.mp4",
        PLAIN,
        "typed by mistake: (left out)",
    ]
    assert found["prompt"]["3"]["inputs"] == {"motion_source.url": "https://bucket.example.com/dance.mp4"}


def test_it_is_off_where_the_operator_says_so(
    sandbox: SandboxControl,
    engines: Callable[..., Any],
    order: Callable[..., Any],
    at_the_sandbox: Callable[[], list[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KLING_ONCE_EMBED_WORKFLOW", "false")
    outcome = engines().run(order(graph=GRAPH)).result(30)
    assert tags_of(outcome.path) == {}
    assert at_the_sandbox().count(outcome.path.read_bytes()) == 1, "byte for byte what was delivered"


@pytest.mark.parametrize("how", ["refuses", "disk full"])
def test_a_file_that_cannot_be_tagged_is_kept_as_it_came(
    how: str, sandbox: SandboxControl, engine: Any, order: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(*_arguments: Any) -> bool:
        if how == "disk full":
            raise OSError(28, "No space left on device")
        return False

    monkeypatch.setattr(workflow, "tag_mp4", tag)
    outcome = engine.run(order(graph=GRAPH)).result(30)
    assert tags_of(outcome.path) == {}
    assert not list(outcome.path.parent.glob("*.part"))


def test_what_is_sent_never_carries_a_workflow(
    sandbox: SandboxControl,
    engine: Any,
    order: Callable[..., Any],
    at_the_sandbox: Callable[[], list[bytes]],
) -> None:
    first = engine.run(order(graph=GRAPH)).result(30)
    assert tags_of(first.path)
    engine.run(order(graph=GRAPH, video=VideoFile(first.path), take=1)).result(30)
    assert not [data for data in at_the_sandbox() if b"widgets_values" in data]


def test_the_watermarked_copy_is_kept_beside_the_video(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    outcome = engine.run(order(graph=GRAPH, watermark=True)).result(60)
    copy = outcome.path.with_name(f"{outcome.path.stem}_watermark.mp4")
    assert tags_of(copy).keys() == {"workflow", "prompt"}
    assert copy.read_bytes() != outcome.path.read_bytes()
    assert f"Watermarked copy: {copy}" in outcome.report()
    gone = engine.store.delete(outcome.attempt.result_path)
    assert len(gone) == 3
    assert not copy.exists()


def test_a_watermarked_copy_that_cannot_be_fetched_costs_no_video(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    sandbox.script("result", "ok", "expired-url")
    outcome = engine.run(order(watermark=True)).result(60)
    assert outcome.path.is_file()
    assert ledger_file.states() == ["kept"]
    assert "The watermarked copy could not be fetched" in outcome.report()
    assert not list(outcome.path.parent.glob("*.part"))


def test_without_a_watermark_there_is_no_copy(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any]
) -> None:
    outcome = engine.run(order()).result(30)
    assert not list(outcome.path.parent.glob("*_watermark.mp4"))
    assert "atermarked copy" not in outcome.report()
