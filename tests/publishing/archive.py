"""The archive that the Comfy Registry holds, made as its command line makes it, without needing that.

`python -m tests.publishing.archive` lists it.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def tracked(*options: str) -> set[str]:
    """Return what git knows of this checkout; skip where there is no git."""
    asked = ["git", "-c", "core.quotepath=off", "ls-files", "-z", *options]
    try:
        listed = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no git checkout: {error}")
    return set(listed.stdout.decode("utf-8").split("\0")) - {""}


def packed_names() -> list[str]:
    """Return every file that git tracks, less those that .comfyignore names."""
    ignored = tracked("--cached", "--ignored", "--exclude-from=.comfyignore")
    return sorted(name for name in tracked() - ignored if (ROOT / name).exists())


def make_archive(target: Path) -> Path:
    """Write the archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in packed_names():
            archive.write(ROOT / name, name)
    return target


def main() -> None:
    """List the files with their sizes."""
    names = packed_names()
    for name in names:
        sys.stdout.write(f"{(ROOT / name).stat().st_size:>9} {name}\n")
    total = sum((ROOT / name).stat().st_size for name in names)
    sys.stdout.write(f"{total:>9} bytes in {len(names)} files\n")


if __name__ == "__main__":
    main()
