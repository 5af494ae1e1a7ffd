"""A job: an order whose inputs have been read, and the key that names it. Equal keys are paid once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from ..api.motion_control import MOTION_SETTINGS
from ..order import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..order import (
        AnyOrder,
        MotionControl,
        Sender,
        Service,
    )


@dataclass(frozen=True, slots=True)
class JobLabel:
    """What a job is called in file names and lists; the ledger alone is enough to make it."""

    key: str
    service: Service
    project: str
    image_name: str
    video_name: str
    take: int
    kind: Kind = Kind.VIDEO

    @property
    def short_key(self) -> str:
        """Return the 8 hex digits that appear in file names."""
        return short_key(self.key)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An order whose inputs have been read: it has a key, and two equal orders have the same one."""

    key: str
    realm: str
    origin: str
    """Where it is sent; `EMBEDDED_ORIGIN` for the embedded sandbox."""
    image_digest: str
    video_digest: str
    order: AnyOrder

    @property
    def label(self) -> JobLabel:
        """Return what it is called."""
        order = self.order
        names = order.shown_image_name, order.shown_video_name
        return JobLabel(self.key, order.service, order.project, *names, order.take, order.kind)

    @property
    def columns(self) -> dict[str, Any]:
        """Return its row in the table of jobs, less the moment of its making."""
        order = self.order
        return {
            "job_key": self.key,
            "service": order.service.value,
            "realm": self.realm,
            "project": order.project,
            "kind": order.kind.value,
            **order.columns,
            "image_name": order.shown_image_name,
            "video_name": order.shown_video_name,
            "image_digest": self.image_digest,
            "video_digest": self.video_digest,
            "adopted": False,
        }

    def external_id(self, number: int) -> str:
        """Return the id under which attempt `number` is known to the vendor."""
        return f"ko-{self.key[2:34]}-{number}"

    def sent_by(self, sender: Sender) -> dict[str, Any]:
        """Return where its attempts are sent, with whose account, and who spends, as columns."""
        return {
            "realm": self.realm,
            "origin": self.origin,
            "profile": sender.profile,
            "fingerprint": sender.fingerprint,
            "generation": sender.generation,
            "prompt_id": self.order.spender.prompt_id,
            "node_id": self.order.spender.node_id,
        }


def short_key(key: str) -> str:
    """Return the 8 hex digits of a job key that appear in file names."""
    return key[2:10]


VERSION: Final = "v1"
ADOPTED_VERSION: Final = "t1"
"""Of the key of a job that is known by its task alone."""


def canonical_fields(
    realm: str, motion: MotionControl, image_digest: str, video_digest: str
) -> dict[str, Any]:
    """Return the fields of version 1. One that is added later is left out while at its default."""
    settings = {
        item.name: getattr(motion, item.name)
        for item in MOTION_SETTINGS
        if not (item.is_late and getattr(motion, item.name) == item.default)
    }
    if motion.element_id.isascii() and motion.element_id.isdigit():
        settings["element_id"] = str(int(motion.element_id))
    return {"realm": realm, **settings, "image": image_digest, "video": video_digest}


def job_key(realm: str, motion: MotionControl, image_digest: str, video_digest: str) -> str:
    """Return `v1` and 64 hex digits."""
    return _key_of(canonical_fields(realm, motion, image_digest, video_digest))


def element_key(realm: str, name: str, description: str, pictures: Sequence[str], video_digest: str) -> str:
    """Return the job key of an element: `v1` and 64 hex digits.

    Args:
        realm: where it is made.
        name: of the element.
        description: of the element.
        pictures: digests of the frontal picture and of the other views, in their order.
        video_digest: of its clip; empty for an element of pictures.
    """
    made_of = {"pictures": list(pictures), "video": video_digest}
    return _key_of({"realm": realm, "kind": Kind.ELEMENT, "name": name, "description": description} | made_of)


def _key_of(fields: dict[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return VERSION + blake3(text.encode()).hexdigest()


def adopted_key(realm: str, task_id: str) -> str:
    """Return the job key of an adopted task: `t1` and 64 hex digits."""
    return ADOPTED_VERSION + blake3(f"{realm} {task_id}".encode()).hexdigest()
