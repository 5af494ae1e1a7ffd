"""A running sandbox as its operator sees it: scripted faults, switches, and the calls that came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kling_once.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

CREATE = "/v1/videos/motion-control"
ELEMENTS = "/v1/general/advanced-custom-elements"


@dataclass
class SandboxControl:
    """What a test asks of a running sandbox, whoever runs it."""

    origin: str
    http: httpx.Client = field(repr=False)
    generation: str = "legacy"

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.origin}{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def script(self, endpoint: str, *faults: str) -> None:
        self._json("POST", "/sandbox/faults", {"endpoint": endpoint, "script": list(faults)})

    def pending(self) -> list[str]:
        return [entry["fault"] for entry in self._json("GET", "/sandbox/faults")["pending"]]

    def met(self) -> list[str]:
        return [entry["fault"] for entry in self._json("GET", "/sandbox/faults")["met"]]

    def set(self, **switches: Any) -> None:
        self._json("PUT", "/sandbox/settings", {name.replace("_", "-"): v for name, v in switches.items()})

    def move(self, **transitions: Any) -> None:
        self._json("PUT", "/sandbox/transitions", transitions)

    def calls(self) -> list[dict[str, Any]]:
        return self._json("GET", "/sandbox/calls")["calls"]

    def creates(self) -> list[dict[str, Any]]:
        """Return the creates; the options of a body of the second generation stand in the body itself."""
        calls = [call for call in self.calls() if call["method"] == "POST"]
        found = [call for call in calls if "motion-control" in call["path"]]
        return [
            call | {"body": call["body"] | call["body"].get("options", {})}
            if isinstance(call["body"], dict)
            else call
            for call in found
        ]

    def element_creates(self) -> list[dict[str, Any]]:
        """Return the creates of elements."""
        return [call for call in self.calls() if call["method"] == "POST" and call["path"] == ELEMENTS]

    def elements(self) -> list[dict[str, Any]]:
        """Return the account's elements, newest first, with their tasks' external ids."""
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        answer = self.http.get(f"{self.origin}{ELEMENTS}?pageSize=500", headers=headers)
        return [
            element | task["task_info"]
            for task in answer.json()["data"]
            for element in task["task_result"].get("elements", ())
        ]

    def tasks(self) -> list[dict[str, Any]]:
        """Return the account's tasks, newest first; the list endpoint is asked, and appears in the calls."""
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        if self.generation == "legacy":
            answer = self.http.get(f"{self.origin}{CREATE}?pageSize=500", headers=headers)
            return answer.json()["data"]
        answer = self.http.post(f"{self.origin}/tasks", json={"limit": 500}, headers=headers)
        return [
            {
                "task_id": task["id"],
                "task_status": {"succeeded": "succeed"}.get(task["status"], task["status"]),
                "task_info": {"external_task_id": task["external_id"]},
                **task,
            }
            for task in answer.json()["data"]["result"]
        ]

    def upload(self, path: Path) -> str:
        answer = self.http.post(f"{self.origin}/sandbox/files", content=path.read_bytes())
        return answer.json()["url"]

    def reset(self) -> None:
        self._json("POST", "/sandbox/reset")
