"""What a check found, as the outputs of its node. Blocks: it reads files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .host import InputImpl

if TYPE_CHECKING:
    from pathlib import Path

    from ..kling_once.jobs.checking import Checked

PICTURE_ENDINGS = {".png", ".jpg"}


def preview(checked: Checked) -> tuple[Any, ...]:
    """Return report, ok, seconds, units, usd, image and video."""
    price = checked.price
    units = usd = seconds = 0.0
    if price is not None:
        seconds = float(price.seconds)
        if not checked.is_kept:
            units = float(price.units)
            usd = float(price.cash) if price.currency == "USD" else 0.0
    pictures = [path for path in checked.written if path.suffix in PICTURE_ENDINGS]
    clips = [path for path in checked.written if path.suffix not in PICTURE_ENDINGS]
    return (
        checked_report(checked),
        checked.ok,
        seconds,
        units,
        usd,
        _image(pictures[0]) if pictures else None,
        InputImpl.VideoFromFile(str(clips[0])) if clips else None,
    )


def checked_report(checked: Checked) -> str:
    """Return what a check found, one line each."""
    if checked.is_kept:
        lines = ["The result is kept here already: running this costs nothing."]
    elif checked.ok:
        lines = ["Ready to send."]
    else:
        lines = ["Would be refused; nothing would be spent:"]
        lines += [f"- {violation.message}" for violation in checked.violations]
        lines += [f"- {refusal}" for refusal in checked.refusals]
    if checked.price is not None and not checked.is_kept:
        price = checked.price
        cost = f"up to {price.units.normalize():f} units ({price.cash.normalize():f} {price.currency})"
        lines.append(f"Price on Kling: {cost} for {float(price.seconds):.2f} s.")
    return "\n".join([*lines, *checked.report, *checked.notes])


def _image(path: Path) -> Any:
    """Return a picture file as ComfyUI's IMAGE."""
    import numpy as np  # noqa: PLC0415 - nothing heavy before a node runs
    import torch  # noqa: PLC0415 - likewise

    from ..kling_once.media.picture import rgb_pixels  # noqa: PLC0415 - likewise

    pixels = np.array(rgb_pixels(path), dtype=np.float32) / np.float32(255)
    return torch.from_numpy(pixels)[None]
