"""README tells the truth: its prices, commands and links exist, its sections are found by name."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kling_once.api.limits import MODELS, USD_PER_UNIT, Mode
from kling_once.cli.commands import app
from kling_once.hosting.media_host import no_host_error

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands_in(text: str) -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    words = (shlex.split(line, comments=True) for line in lines)
    return [line[1:] for line in words if line[:1] == ["kling-once"]]


@pytest.mark.parametrize("arguments", commands_in(README), ids=" ".join)
def test_every_command_is_understood(arguments: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    name, *rest = arguments
    command = group.commands[name]
    if hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    with command.make_context(name, [word for word in rest if word != "&"]) as context:
        assert context.command is command


def test_the_readme_names_every_command() -> None:
    group: Any = typer.main.get_command(app)
    assert all(f"kling-once {name}" in README for name in group.commands)


def test_the_command_line_works_in_the_packs_folder_without_being_installed() -> None:
    asked = [sys.executable, "-m", "kling_once", "keys", "allow", "--help"]
    ended = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "one-time" in ended.stdout or "once" in ended.stdout


def test_the_section_that_an_error_names_is_there() -> None:
    assert '"Let Kling fetch your clip"' in no_host_error().hint
    assert re.search(r"^## Let Kling fetch your clip$", README, re.MULTILINE)


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_picture_says_what_it_shows() -> None:
    pictures = re.findall(r"!\[(.*)\]\((.*)\)", README)
    assert pictures
    assert all(len(text) > 20 and place.startswith("docs/images/") for text, place in pictures)


def test_both_readmes_say_the_same() -> None:
    chinese = (ROOT / "README.zh.md").read_text(encoding="utf-8")
    assert commands_in(chinese) == commands_in(README)
    for pattern in (
        r"\]\((?!http|README)([^)#]+)",
        r"```python\n(.*?)```",
        r"^\| (`?kling-[^|]*) \|",
        r"^(#+) ",
    ):
        found = [re.findall(pattern, text, re.DOTALL | re.MULTILINE) for text in (README, chinese)]
        assert found[0]
        assert found[0] == found[1]


def test_every_anchor_that_is_linked_is_a_section() -> None:
    sections = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= sections


def test_the_table_of_prices_is_the_price_list() -> None:
    rows = re.findall(r"^\| (kling-\S+) \| ([\d.]+) USD \| ([\d.]+) USD \|$", README, re.MULTILINE)
    told = {
        (model, mode): Decimal(price) for model, *pair in rows for mode, price in zip(Mode, pair, strict=True)
    }
    assert told == {
        (model.name, mode): units * USD_PER_UNIT
        for model in MODELS.values()
        for mode, units in model.units_per_second.items()
    }
    assert all(f"as of {model.prices_as_of}" in README for model in MODELS.values())
