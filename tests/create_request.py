"""A create from flat fields, as the API page lists them."""

from __future__ import annotations

from typing import Any

from kling_once.api.models import CreateRequest
from kling_once.api.motion_control import MOTION_SETTINGS, MotionControl


def create_request(**fields: Any) -> CreateRequest:
    """Return a create; `model_name` is the vendor's word for `model`."""
    if "model_name" in fields:
        fields["model"] = fields.pop("model_name")
    motion = {item.name: fields.pop(item.name) for item in MOTION_SETTINGS if item.name in fields}
    return CreateRequest(motion=MotionControl(**motion), **fields)
