"""The ledger's file: made once, by whoever comes first; one of a newer version is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kling_once.errors import LedgerTooNew

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.jobs.conftest import LedgerFile
    from tests.sandbox_control import SandboxControl


def make_newer(ledger_file: LedgerFile) -> None:
    ledger_file.execute("ALTER TABLE attempts ADD COLUMN invented_later TEXT")
    ledger_file.execute("UPDATE alembic_version SET version_num = '9999'")
    ledger_file.execute("UPDATE notes SET value = '9.9.9' WHERE name = 'version'")


def test_others_may_not_look_into_the_home(
    sandbox: SandboxControl, engine: Any, order: Callable[..., Any], ledger_file: LedgerFile
) -> None:
    engine.run(order()).result(30)

    assert ledger_file.path.parent.stat().st_mode & 0o077 == 0


class TestNewerVersion:
    def test_a_kept_job_is_served(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        order: Callable[..., Any],
        ledger_file: LedgerFile,
    ) -> None:
        first = engines()
        first.run(order()).result(30)
        first.close()
        make_newer(ledger_file)

        assert engines().run(order()).result(30).reused

    def test_a_task_under_way_is_collected(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        order: Callable[..., Any],
        ledger_file: LedgerFile,
        leave_in_the_wait: Callable[..., None],
    ) -> None:
        leave_in_the_wait(order())
        make_newer(ledger_file)

        assert engines().run(order()).result(30).path.is_file()
        assert len(sandbox.creates()) == 1

    def test_nothing_new_is_submitted(
        self,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        order: Callable[..., Any],
        ledger_file: LedgerFile,
    ) -> None:
        first = engines()
        first.run(order()).result(30)
        first.close()
        make_newer(ledger_file)

        with pytest.raises(LedgerTooNew, match=r"9\.9\.9") as caught:
            engines().run(order(take=1)).result(30)

        assert "Install Kling Once 9.9.9" in caught.value.hint
        assert len(sandbox.creates()) == 1

    @pytest.mark.parametrize("state", ["intent", "rejected", "failed", "unknown"])
    def test_an_attempt_that_was_begun_is_not_submitted(
        self,
        state: str,
        sandbox: SandboxControl,
        engines: Callable[..., Any],
        order: Callable[..., Any],
        ledger_file: LedgerFile,
    ) -> None:
        first = engines()
        sandbox.script("create", "code-1101")
        with pytest.raises(Exception, match="1101"):
            first.run(order()).result(30)
        first.close()
        ledger_file.change(state=state, reason="an internal error", reason_code=None)
        make_newer(ledger_file)

        with pytest.raises(LedgerTooNew):
            engines().run(order()).result(30)
        assert len(sandbox.creates()) == 1
