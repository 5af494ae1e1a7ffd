"""The nodes: the only Python here that imports ComfyUI, all of it in `host`."""
