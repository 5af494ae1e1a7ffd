"""The account's tasks: page by page, any of them taken over, never under a wrong account."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_OF = "**/kling_once/account?*"


def answer(*ids: str, browse: str = "all", is_last: bool = True) -> str:
    task = {"external_task_id": None, "status": "succeed", "reason": None, "created_at": None}
    rows = [{"task_id": one, **task, "duration_seconds": 4.0, "units": 2.0, "job_key": None} for one in ids]
    told = {"page": 1, "page_size": 30, "browse": browse, "is_last": is_last, "tasks": rows}
    return json.dumps(told)


def test_a_task_of_another_machine_is_taken_over(
    comfy: Any, foreign_task: Callable[[], str], screen: Callable[..., Any], shot: Callable[..., Any]
) -> None:
    task_id = foreign_task()
    seen = screen(comfy.url)
    tasks = seen.tasks()
    tasks.show("account")
    row = seen.page.locator(f'li[data-task="{task_id}"]')
    row.get_by_role("button", name="Collect").click()
    row.get_by_text("In the ledger").wait_for()
    shot(seen, "account")
    tasks.show("tasks")
    kept = seen.page.locator('.kling-once-row[data-state="kept"]').filter(has_text=task_id)
    kept.wait_for(timeout=60_000)


def test_a_task_of_the_account_becomes_a_fetch_task_node_of_that_account(
    comfy: Any, foreign_task: Callable[[], str], screen: Callable[..., Any]
) -> None:
    task_id = foreign_task()
    seen = screen(comfy.url)
    keyless = "**/kling_once/account?service=kling&profile=&*"
    seen.page.route(keyless, lambda route: route.abort())  # asked for between the two choices
    seen.tasks().show("account")
    service = seen.page.get_by_label("Service")
    service.select_option("kling")
    seen.page.get_by_label("Profile").select_option("studio")
    row = seen.page.locator(f'li[data-task="{task_id}"]')
    row.wait_for()
    seen.page.route(ANSWER_OF, lambda _route: None)  # what is chosen next is never answered
    service.select_option("sandbox")
    row.get_by_role("button", name="Add as Kling Fetch Task").click()
    seen.page.wait_for_function(
        """([type, id]) => {
             const node = window.app.graph.nodes.find(one => one.comfyClass === type);
             const values = Object.fromEntries((node?.widgets ?? []).map(one => [one.name, one.value]));
             return values.id === id && values.service === "kling" && values.profile === "studio";
           }""",
        arg=["KlingOnce_FetchTask", task_id],
    )


def test_a_late_answer_is_not_shown_under_another_account(comfy: Any, screen: Callable[..., Any]) -> None:
    seen = screen(comfy.url)
    waiting = []

    def reply(route: Any) -> None:
        if "service=kling" in route.request.url:
            waiting.append(route)
        else:
            route.fulfill(body=answer("111"), content_type="application/json")

    seen.page.route(ANSWER_OF, reply)
    seen.tasks().show("account")
    seen.page.locator('li[data-task="111"]').wait_for()
    service = seen.page.get_by_label("Service")
    with seen.page.expect_request(lambda request: "service=kling" in request.url):
        service.select_option("kling")
    with seen.page.expect_response(lambda one: "service=sandbox" in one.url):
        service.select_option("sandbox")
    with seen.page.expect_response(lambda one: "service=kling" in one.url):
        waiting[0].fulfill(body=answer("222"), content_type="application/json")
    seen.page.locator('li[data-task="111"]').wait_for()
    assert seen.page.locator('li[data-task="222"]').count() == 0


def test_a_server_that_shows_only_its_own_tasks_says_so_and_its_list_ends_where_the_accounts_does(
    comfy: Any, screen: Callable[..., Any]
) -> None:
    seen = screen(comfy.url)

    def reply(route: Any) -> None:
        page = int(re.findall(r"[?&]page=(\d+)", route.request.url)[0])
        told = answer(*{1: ["111"], 6: ["222"]}.get(page, []), browse="own", is_last=page == 6)
        route.fulfill(body=told, content_type="application/json")

    seen.page.route(ANSWER_OF, reply)
    seen.tasks().show("account")
    seen.page.get_by_text("This server shows only tasks of its own ledger").wait_for()
    older = seen.page.get_by_role("button", name="Older")
    for page in ("2", "3", "4", "5", "6"):
        older.click()
        seen.page.locator(".kling-once-number", has_text=page).wait_for()
    seen.page.locator('li[data-task="222"]').wait_for()
    assert older.is_disabled()
