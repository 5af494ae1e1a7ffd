"""What deploy/ says is what the settings and the commands understand, and works on a read-only root."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
import yaml

from kling_once.cli.commands import app
from kling_once.hosting.object_store import StoreAddress
from kling_once.ledger.postgresql import parse_url
from kling_once.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPLOY = Path(__file__).parents[1] / "deploy"
OURS = ("KLING_ONCE_", "KLINGAI_")
KNOWN = {f"KLING_ONCE_{name.upper()}" for name in Settings.model_fields} | {
    name.upper() for name in Settings.model_fields if name.startswith("klingai_")
}


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]


def manifests() -> dict[tuple[str, str], Any]:
    text = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(text)}


def kubernetes_environment() -> dict[str, str]:
    found = manifests()
    return found["Secret", "kling-once"]["stringData"] | found["ConfigMap", "kling-once"]["data"]


def pods() -> Iterator[dict[str, Any]]:
    for (kind, _name), item in manifests().items():
        if kind in {"Job", "Deployment"}:
            yield item["spec"]["template"]["spec"]


def our_services() -> dict[str, Any]:
    return {name: item for name, item in compose().items() if item["image"] == "kling-once"}


def environments() -> list[dict[str, str]]:
    return [*(item["environment"] for item in our_services().values()), kubernetes_environment()]


def commands() -> list[list[str]]:
    found = [item["command"] for item in our_services().values()]
    found += [item["healthcheck"]["test"][2:] for item in our_services().values() if "healthcheck" in item]
    for pod in pods():
        for container in pod["containers"]:
            found.append(container["args"])
            probe = container.get("readinessProbe")
            found += [probe["exec"]["command"][1:]] if probe else []
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    return [*found, yaml.safe_load(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[0])]


@pytest.mark.parametrize("environment", environments())
def test_every_variable_is_a_setting_and_its_value_is_one(
    environment: dict[str, str], hermetic: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = {name: value for name, value in environment.items() if name.startswith(OURS)}
    assert set(ours) <= KNOWN
    for name, value in ours.items():
        assert isinstance(value, str), "YAML made something else of it"
        monkeypatch.setenv(name, re.sub(r"\$\{(\w+):\?\}", r"given-\1", value))
    settings = load_settings()
    assert settings.ledger_url is not None
    assert parse_url(settings.ledger_url).password
    assert StoreAddress.parse(settings.results_url or "")
    assert StoreAddress.parse(settings.store_url or "")
    assert settings.klingai_api_key is not None
    assert settings.home.is_relative_to("/tmp"), "the only folder that can be written"


@pytest.mark.parametrize("words", commands(), ids=shlex.join)
def test_every_command_is_understood(words: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    name, *rest = words
    command = group.commands[name]
    if hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(name, list(rest)) as context:
        assert context.command is command


def test_every_root_is_read_only_and_temp_can_be_written() -> None:
    for service in our_services().values():
        assert service["read_only"] is True
        assert service["tmpfs"][0].split(":")[0] == "/tmp"
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
        assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]


def test_there_are_two_workers_with_time_to_let_go() -> None:
    workers = [item for item in our_services().values() if item["command"] == ["worker"]]
    assert len(workers) == 2
    assert all(item["stop_grace_period"] == "30s" for item in workers)
    deployment = manifests()["Deployment", "kling-once-worker"]["spec"]
    assert deployment["replicas"] == 2
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] == 30


def test_no_secret_is_written_down() -> None:
    texts = [path.read_text(encoding="utf-8") for path in DEPLOY.iterdir()]
    for text in texts:
        for line in text.splitlines():
            if found := re.search(r"(PASSWORD|SECRET_ACCESS_KEY|API_KEY):\s+(\S+)", line):
                assert found[2].startswith("${") or found[2] == "CHANGE-ME", line
