"""`python -m kling_once`: the command line where nothing was installed, as in ComfyUI's folder."""

from __future__ import annotations

from .cli.app import main

if __name__ == "__main__":
    main()
