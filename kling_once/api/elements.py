"""The element library: what keeps a character's looks stable, made from pictures or from a clip.

Source: the official pages of `advanced-custom-elements` (September 2026). Both generations have these paths
and no others; `GET /tasks` of the generation `standard` shows their tasks as well (seen live, 2026-09-20).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from .client import Call, KlingClient
from .models import Element, Task
from .standard import StandardClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .models import Answer

ELEMENTS: Final = "/v1/general/advanced-custom-elements"
PRESETS: Final = "/v1/general/advanced-presets-elements"
DELETE: Final = "/v1/general/delete-advanced-elements"
"""The Chinese page names another path; both were seen to delete from one store (2026-09-21)."""


class ElementRequest(BaseModel):
    """The body of a create: pictures, as URLs or base64 without a data prefix, or the URL of one clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    frontal_image: str = Field("", repr=False)
    """Empty for an element that is made from a clip."""
    views: tuple[str, ...] = Field((), repr=False)
    video_url: str = Field("", repr=False)
    external_task_id: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        body: dict[str, Any] = {"element_name": self.name, "element_description": self.description}
        if self.video_url:
            body["reference_type"] = "video_refer"
            body["element_video_list"] = {"refer_videos": [{"video_url": self.video_url}]}
        else:
            body["reference_type"] = "image_refer"
            body["element_image_list"] = {
                "frontal_image": self.frontal_image,
                "refer_images": [{"image_url": view} for view in self.views],
            }
        if self.external_task_id:
            body["external_task_id"] = self.external_task_id
        return body

    def encode(self) -> bytes:
        """Return the body as UTF-8 JSON."""
        return json.dumps(self.wire(), ensure_ascii=False).encode()

    def standard_call(self) -> tuple[str, bytes]:
        """Return path and body in the generation `standard`, which has no path of its own for elements."""
        return ELEMENTS, self.encode()


@dataclass
class ElementClient(KlingClient):
    """The element library of one account, over the connection of a client of either generation.

    Its tasks are created, asked for by external id and listed by the calls of `KlingClient`.
    """

    path: ClassVar[str] = ELEMENTS

    standard: StandardClient | None = None
    """What asks for the waiting tasks of several jobs in one call, where the account speaks `standard`."""

    @classmethod
    def beside(cls, client: KlingClient) -> Self:
        """Return the element library of a client's account; the client closes the connection."""
        return cls(
            client.origin,
            client.credential,
            client.clock,
            client.http,
            client.create_seconds,
            client.poll_seconds,
            standard=client if isinstance(client, StandardClient) else None,
        )

    async def get_task(self, task_id: str, external_id: str = "") -> Answer[Task]:
        """Return the task of this id, and no other; as `KlingClient.get_task`."""
        if self.standard is None:
            return await super().get_task(task_id, external_id)
        return await self.standard.get_task(task_id, external_id)

    async def list_elements(self, page: int = 1, page_size: int = 30) -> Answer[tuple[Task, ...]]:
        """Return one page of the account's element tasks; those that made an element name it.

        Args:
            page: 1 to 1000.
            page_size: 1 to 500.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        return await self.list(page, page_size)

    async def list_presets(self, page: int = 1, page_size: int = 30) -> Answer[tuple[Element, ...]]:
        """Return the official elements on one page, which may be fewer than its tasks.

        Raises:
            ApiError: the API answered with a service code.
            TransportError: no readable answer.
        """
        call = Call("GET", PRESETS, {"pageNum": page, "pageSize": page_size})
        return self._read(await self._send(call), lambda data: tuple(elements_of(data or ())))

    async def delete(self, element_id: str) -> None:
        """Delete an element of the account.

        Raises:
            ApiError: the API answered with a service code; InvalidValue where it knows no such element.
            TransportError: no readable answer; it may be deleted all the same.
        """
        content = json.dumps({"element_id": element_id}).encode()
        await self._send(Call("POST", DELETE, content=content))


def elements_of(tasks: Iterable[Any]) -> Iterable[Element]:
    """Return the elements that a list of tasks, as it stands on the wire, names with a usable id."""
    for task in tasks:
        result = task.get("task_result") if isinstance(task, dict) else None
        listed = result.get("elements") if isinstance(result, dict) else None
        for element in listed if isinstance(listed, list) else ():
            if isinstance(element, dict) and (known := Element.model_validate(element)).element_id:
                yield known
