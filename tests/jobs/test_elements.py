"""An element is a job: made once whatever is lost, kept in the ledger, made again when it was deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import (
    AuthenticationError,
    JobError,
    ModerationRefusal,
    OutcomeUnknown,
    ResultGone,
    SubmissionsHeld,
    TaskFailed,
)
from kling_once.jobs.recovery import Wanted
from kling_once.order import Service
from kling_once.sandbox import DEFAULT_API_KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kling_once.jobs.engine import Engine
    from tests.jobs.conftest import LedgerFile
    from tests.process import Process
    from tests.sandbox_control import SandboxControl

pytestmark = pytest.mark.both_generations

LOOKED_UP_BEFORE = ("ok",) * 4
"""The ids of three attempts that a lost ledger may have forgotten, and once more right before the create."""


def test_an_element_is_made_once_and_its_id_keeps_all_18_digits(
    sandbox: SandboxControl, engines: Any, element: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    first = engines()
    made = first.create_element(element()).result(30)
    first.close()
    again = engines().create_element(element()).result(30)

    (known,) = sandbox.elements()
    assert made.element_id == again.element_id == str(known["element_id"])
    assert len(made.element_id) == 18
    assert not made.reused
    assert again.reused
    assert len(sandbox.element_creates()) == 1
    (row,) = ledger_file.rows()
    assert (row["state"], row["made_element_id"]) == ("kept", made.element_id)
    assert (row["units_charged"], row["units_estimated"]) == ("0", "0")
    assert known["external_task_id"] == row["external_id"]
    assert (known["element_name"], known["reference_type"]) == ("Mia", "image_refer")


def test_a_kept_element_is_served_without_asking_anybody(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    made = engine.create_element(element()).result(30)
    calls = len(sandbox.calls())
    assert engine.create_element(element(kept_only=True)).result(30).element_id == made.element_id
    assert len(sandbox.calls()) == calls
    with pytest.raises(SubmissionsHeld):
        engine.create_element(element(name="Other", kept_only=True)).result(30)


@pytest.mark.parametrize(
    "faults",
    [
        ("reset-after-accept",),
        ("reset-before-accept",),
        ("status-502",),
        ("status-502-after-accept",),
        ("html",),
        ("html-after-accept",),
        ("garbage-json",),
        ("garbage-json-before-accept",),
        ("accept-late-0.3",),
        ("reset-before-accept", "reset-after-accept"),
        ("task-id-missing",),
        ("task-id-empty",),
    ],
)
def test_a_lost_answer_makes_one_element(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], faults: tuple[str, ...]
) -> None:
    sandbox.script("create-element", *faults)
    made = engine.create_element(element()).result(60)
    assert [str(one["element_id"]) for one in sandbox.elements()] == [made.element_id]
    assert sandbox.pending() == []
    assert engine.create_element(element()).result(30).reused


def test_a_lost_ledger_finds_the_element_at_kling(
    sandbox: SandboxControl, engines: Any, element: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    first = engines()
    made = first.create_element(element()).result(30)
    first.close()
    ledger_file.lose()

    again = engines().create_element(element()).result(30)

    assert again.element_id == made.element_id
    assert len(sandbox.element_creates()) == 1


def test_equal_orders_at_the_same_time_make_one_element(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    waiting = [engine.create_element(element()) for _ in range(5)]
    assert len({one.result(30).element_id for one in waiting}) == 1
    assert len(sandbox.element_creates()) == 1


def test_another_name_description_or_picture_makes_another_element(
    sandbox: SandboxControl,
    engine: Engine,
    element: Callable[..., Any],
    small_view: Path,
    small_picture: Path,
) -> None:
    orders = [
        element(),
        element(name="Noa"),
        element(description="Seen from the side"),
        element(image=small_view, views=(small_picture,)),
    ]
    ids = {engine.create_element(one).result(30).element_id for one in orders}
    assert len(ids) == len(sandbox.elements()) == 4


@pytest.mark.process
@pytest.mark.parametrize("moment", ["intent", "unknown", "submitted"])
def test_a_killed_process_leaves_one_element(
    sandbox: SandboxControl,
    engines: Any,
    element: Callable[..., Any],
    python: Callable[..., Process],
    ledger_file: LedgerFile,
    eventually: Callable[..., Any],
    moment: str,
) -> None:
    faults = {"intent": "stall-S-after-accept", "unknown": "reset-after-accept", "submitted": "ok"}
    if moment == "submitted":
        sandbox.move(policy="polls", polls=100_000)
    sandbox.script("create-element", faults[moment].replace("-S-", "-60-"))
    if moment == "unknown":
        sandbox.script("get-element", *LOOKED_UP_BEFORE, *["status-503"] * 200)
    order = element()
    process = python("-c", PROGRAM, str(order.image), str(order.views[0]))
    if moment == "intent":
        eventually(sandbox.element_creates, "the create")
    else:
        eventually(lambda: ledger_file.states() == [moment], moment)
    process.kill()
    sandbox.script("get-element")
    sandbox.move(policy="at once")

    made = engines().create_element(order).result(60)

    assert [str(one["element_id"]) for one in sandbox.elements()] == [made.element_id]
    assert len(sandbox.element_creates()) == 1


PROGRAM = """
import sys
from pathlib import Path
from kling_once.client import Client
from kling_once.order import ElementOrder
pictures = [Path(one) for one in sys.argv[1:]]
order = ElementOrder("Mia", "A disc in front of a gradient", pictures[0], (pictures[1],))
Client().create_element(order).result(60)
"""


def test_a_deleted_element_is_made_again_and_only_then(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    made = engine.create_element(element()).result(30)
    engine.delete_element(element().service, "", made.element_id).result(30)
    assert ledger_file.states() == ["expired"]
    with pytest.raises(ResultGone, match="was deleted"):
        engine.collect(made.label.key).result(30)

    again = engine.create_element(element()).result(30)

    assert again.element_id != made.element_id
    assert [one["status"] for one in sandbox.elements()] == ["succeed", "deleted"]
    assert again.attempt.number == 2
    assert engine.create_element(element()).result(30).reused


def test_an_element_that_somebody_else_deleted_is_noticed_where_it_is_listed(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], http: Any
) -> None:
    made = engine.create_element(element()).result(30)
    delete_elsewhere(sandbox, http, made.element_id)
    listed = engine.list_elements(element().service, "").result(30)
    assert [one.element_id for one in listed] == []
    assert not engine.create_element(element()).result(30).reused


def test_an_element_deleted_before_it_was_collected_is_made_again_when_ordered(
    sandbox: SandboxControl,
    engine: Engine,
    element: Callable[..., Any],
    ledger_file: LedgerFile,
    http: Any,
) -> None:
    made = engine.create_element(element()).result(30)
    ledger_file.change(state="succeeded", made_element_id=None)
    delete_elsewhere(sandbox, http, made.element_id)

    with pytest.raises(ResultGone, match="was deleted"):
        engine.collect(made.label.key).result(30)
    assert ledger_file.states() == ["expired"]

    again = engine.create_element(element()).result(30)
    assert again.element_id != made.element_id
    assert len(sandbox.element_creates()) == 2


def delete_elsewhere(sandbox: SandboxControl, http: Any, element_id: str) -> None:
    answer = http.post(
        f"{sandbox.origin}/v1/general/delete-elements",
        json={"element_id": element_id},
        headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"},
    )
    assert answer.json()["code"] == 0


def test_a_delete_whose_answer_is_lost_can_be_repeated(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    made = engine.create_element(element()).result(30)
    sandbox.script("delete-element", "reset-after-accept")
    with pytest.raises(ConnectionError):
        engine.delete_element(element().service, "", made.element_id).result(30)
    engine.delete_element(element().service, "", made.element_id).result(30)
    assert ledger_file.states() == ["expired"]


def test_an_element_keeps_the_looks_in_motion_control_on_the_wire(
    sandbox: SandboxControl,
    engine: Engine,
    element: Callable[..., Any],
    order: Callable[..., Any],
    generation: str,
) -> None:
    made = engine.create_element(element()).result(30)
    engine.run(order(model="kling-v3", element_id=made.element_id)).result(30)
    (create,) = sandbox.creates()
    if generation == "legacy":
        assert create["body"]["element_list"] == [{"element_id": int(made.element_id)}]
    else:
        used = [item for item in create["body"]["contents"] if item["type"] == "element"]
        assert used == [{"type": "element", "element_id": made.element_id, "id": "element_1"}]


def test_a_refusal_by_moderation_is_final_and_a_failed_task_is_followed(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    sandbox.script("create-element", "code-1301")
    with pytest.raises(ModerationRefusal):
        engine.create_element(element()).result(30)
    with pytest.raises(TaskFailed, match="was refused"):
        engine.create_element(element()).result(30)
    assert len(sandbox.element_creates()) == 1

    sandbox.script("create-element", "task-failed")
    with pytest.raises(TaskFailed, match="internal error"):
        engine.create_element(element(name="Noa")).result(30)
    assert engine.create_element(element(name="Noa")).result(30).attempt.number == 2


def test_a_file_is_no_result_of_an_element(
    engine: Engine, element: Callable[..., Any], small_clip: Path
) -> None:
    made = engine.create_element(element()).result(30)
    with pytest.raises(JobError, match="makes an element"):
        engine.keep_file(made.label.key, small_clip).result(30)


@pytest.mark.parametrize("forgotten", [False, True], ids=["known here", "made elsewhere"])
@pytest.mark.parametrize("by", ["task id", "external id", "element id"])
def test_an_element_is_not_fetched_as_a_video(
    by: str,
    forgotten: bool,
    engines: Any,
    element: Callable[..., Any],
    ledger_file: LedgerFile,
    sandbox: SandboxControl,
) -> None:
    first = engines()
    made = first.create_element(element()).result(30)
    first.close()
    if forgotten:
        ledger_file.lose()
    name = {
        "task id": made.attempt.task_id,
        "external id": made.attempt.external_id,
        "element id": made.element_id,
    }[by]
    seen_by_kling = sandbox.generation == "standard" and by != "element id"

    with pytest.raises(JobError) as caught:
        engines().fetch(Wanted(name, Service.SANDBOX)).result(30)

    if not forgotten or seen_by_kling:
        assert caught.value.message == f"{name} belongs to an element, and to no video."
        assert "`kling-once elements list`" in caught.value.hint
    assert ledger_file.states() == ([] if forgotten else ["kept"]), "nothing is adopted"


def test_a_list_of_videos_holds_no_element(
    engine: Engine, element: Callable[..., Any], order: Callable[..., Any]
) -> None:
    engine.create_element(element()).result(30)
    video = engine.run(order()).result(30)
    listed = engine.list_tasks(order().service, "", 1, 30).result(30)
    assert [task.task_id for task in listed.tasks] == [video.attempt.task_id]


def test_a_refused_key_leaves_nothing_behind_that_hinders(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    sandbox.script("create-element", "code-1002")
    with pytest.raises(AuthenticationError):
        engine.create_element(element()).result(30)
    assert engine.create_element(element()).result(30).element_id


def test_a_create_that_stays_unknown_is_not_repeated_and_settled_later(
    sandbox: SandboxControl, engine: Engine, element: Callable[..., Any]
) -> None:
    sandbox.script("create-element", "reset-after-accept")
    sandbox.script("get-element", *LOOKED_UP_BEFORE, *["status-503"] * 200)
    with pytest.raises(OutcomeUnknown):
        engine.create_element(element()).result(60)
    sandbox.script("get-element")
    made = engine.create_element(element()).result(60)
    assert [str(one["element_id"]) for one in sandbox.elements()] == [made.element_id]
    assert len(sandbox.element_creates()) == 1
