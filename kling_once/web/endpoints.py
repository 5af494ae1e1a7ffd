"""Every route of the page, described once: the handlers and the OpenAPI document are made from this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "/kling_once"
BODY_MAX_BYTES: Final = 64 * 1024
GRAPH_MAX_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route."""

    name: str
    method: str
    path: str
    summary: str
    query: str = ""
    """Name of a model in `requests`; models are loaded when somebody asks, not when ComfyUI starts."""
    body: str = ""
    """Likewise."""
    answers: str = "application/json"
    is_trusted: bool = False
    """Changes keys, limits or what is remembered: this machine, or a one-time code."""
    body_max_bytes: int = BODY_MAX_BYTES

    @property
    def is_of_a_job(self) -> bool:
        """Tell whether the path names a job."""
        return "{job_key}" in self.path


def _get(name: str, path: str, summary: str, query: str = "Nothing") -> Endpoint:
    return Endpoint(name, "GET", PREFIX + path, summary, query=query)


def _file(name: str, path: str, summary: str, answers: str) -> Endpoint:
    return Endpoint(name, "GET", PREFIX + path, summary, query="Nothing", answers=answers)


def _post(name: str, path: str, summary: str, body: str, *, is_trusted: bool = False) -> Endpoint:
    return Endpoint(name, "POST", PREFIX + path, summary, body=body, is_trusted=is_trusted)


ENDPOINTS: Final = (
    _get("status", "/status", "Hold switch, limits, version, and whether this page may change keys."),
    _get("jobs", "/jobs", "The ledger's jobs, newest first, without links.", "JobsQuery"),
    _get("job", "/jobs/{job_key}", "One job with all its attempts, without links."),
    _get("job_workflow", "/jobs/{job_key}/workflow", "The workflow that ordered the job."),
    _file("job_picture", "/jobs/{job_key}/picture", "The reference image, small.", "image/jpeg"),
    _file("job_poster", "/jobs/{job_key}/poster", "The first frame of the kept video, small.", "image/jpeg"),
    _file("job_video", "/jobs/{job_key}/video", "The kept video.", "video/mp4"),
    _post("collect", "/jobs/{job_key}/collect", "Fetch the result of a task that was paid.", "Nothing"),
    _post("forget", "/jobs/{job_key}/forget", "Hide a job.", "ForgetBody", is_trusted=True),
    _get("totals", "/totals", "What was spent today and this month."),
    _file("history_csv", "/history.csv", "Every attempt of the ledger.", "text/csv"),
    _file("totals_csv", "/totals.csv", "What was spent today and this month.", "text/csv"),
    _post("hold", "/hold", "Switch live submissions off, or on again.", "HoldBody"),
    _post("limits", "/limits", "Change the spending limits.", "LimitsBody", is_trusted=True),
    _get("keys", "/keys", "Which profiles have a key, and where it comes from."),
    _post("save_key", "/keys", "Store a key on the server.", "SaveKeyBody", is_trusted=True),
    _post("try_key", "/keys/test", "Ask the account with a key; free.", "ProfileBody"),
    _post("forget_key", "/keys/forget", "Remove a key.", "ForgetKeyBody", is_trusted=True),
    _get("account", "/account", "A page of the account's tasks, without links.", "AccountQuery"),
    _post("adopt", "/account/adopt", "Collect a task of the account.", "AdoptBody"),
    Endpoint(
        "node",
        "POST",
        PREFIX + "/node",
        "What running a node would cost, and what keeps it from running; spends nothing.",
        body="NodeBody",
        body_max_bytes=GRAPH_MAX_BYTES,
    ),
)
