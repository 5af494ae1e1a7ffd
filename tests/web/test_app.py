"""How the routes are declared, found and mounted."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from kling_once.web.answers import Failure
from kling_once.web.endpoint import (
    Given,
    Nothing,
    Who,
    WithCode,
    endpoint,
)


class KeyPath(Given):
    """One job."""

    job_key: str


def test_a_path_that_does_not_exist_is_a_clean_404(served: Any) -> None:
    for answer in (served.get("/nothing"), served.get("/"), served.post("/jobs/a/b/c")):
        assert answer.status_code == 404
        assert answer.json()["message"] == "There is no such path."


def test_another_method_is_a_clean_405_that_names_the_right_one(served: Any) -> None:
    answer = served.get("/hold")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json()["message"] == "This path takes POST alone."
    assert served.http.delete("/kling_once/keys").headers["Allow"] == "GET,HEAD,POST"


def test_every_route_is_served_under_api_as_well(served: Any) -> None:
    key = served.run()
    plain, prefixed = (served.http.get(f"{prefix}/kling_once/jobs/{key}") for prefix in ("", "/api"))
    assert plain.status_code == 200
    assert plain.json() == prefixed.json()


def test_a_file_may_be_asked_for_by_its_head(served: Any) -> None:
    key = served.run()
    answer = served.http.head(f"/kling_once/jobs/{key}/video")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert int(answer.headers["content-length"]) > 1000


def test_what_answers_is_imported_with_the_first_request() -> None:
    code = (
        "import sys; import kling_once.web;"
        "print(sorted(name for name in sys.modules"
        " if name.startswith('kling_once.') or name in {'aiohttp', 'pydantic', 'sqlalchemy', 'httpx'}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['kling_once.web']"


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ({"path": "/jobs/{job_key}"}, "different parameters"),
        ({"path": "/jobs", "params": KeyPath}, "different parameters"),
        ({"path": "/jobs", "query": Nothing}, "a POST a body"),
        ({"path": "/jobs", "method": "GET", "body": Nothing}, "a GET has a query"),
        ({"path": "/jobs", "body": WithCode}, "one-time code"),
        ({"path": "/jobs", "body": Nothing, "who": Who.LOCAL}, "one-time code"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared: dict[str, Any], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        endpoint(**({"method": "POST", "answer": Failure} | declared))
