"""Refuse a release that is not ready, and print its part of the changelog.

    python .github/release_check.py v1.2.3
    python .github/release_check.py v1.2.3 --notes

The exit code is 1 when something is missing; docs/release.md says what each message asks for.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PLACEHOLDER = "OWNER"
"""Stands in pyproject.toml wherever only the publisher knows what belongs there."""


def notes_of(changelog: str, version: str) -> str:
    """Return the changelog's part on a version, without its heading; empty when there is none."""
    found = re.search(
        rf"^## {re.escape(version)} - .*?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    return found[1].strip() if found else ""


def missing(root: Path, tag: str) -> Iterator[str]:
    """Yield what keeps this checkout from being released under a tag."""
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    version = tomllib.loads(text)["project"]["version"]
    for line in (number for number, line in enumerate(text.splitlines(), 1) if PLACEHOLDER in line):
        yield f"pyproject.toml, line {line}: put the publisher's value where {PLACEHOLDER} stands."
    if tag != f"v{version}":
        yield f"The tag is {tag}, and pyproject.toml says version {version}: the tag must be v{version}."
    if f'return "{version}"' not in (root / "kling_once" / "version.py").read_text(encoding="utf-8"):
        yield f"kling_once/version.py does not fall back to {version}."
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"## {version} - unreleased" in changelog:
        yield f"CHANGELOG.md says that {version} is unreleased: put the date there."
    if not notes_of(changelog, version):
        yield f"CHANGELOG.md has no part on {version}."


def main(tag: str, *options: str) -> int:
    """Print what is missing, or the release's notes."""
    problems = list(missing(ROOT, tag))
    if problems:
        sys.stderr.write("".join(f"{line}\n" for line in problems))
        return 1
    if "--notes" in options:
        sys.stdout.write(
            notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), tag.removeprefix("v")) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
