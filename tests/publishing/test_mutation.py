"""A mutant that survives is killed by a test or explained; the report tells one from the other."""

from __future__ import annotations

from tests.publishing.mutation import TESTS, unexplained

REPORT = """
--- mutation diff ---
--- a/kling_once/ledger/decision.py
+++ b/kling_once/ledger/decision.py
@@ -13,7 +13,7 @@
-if TYPE_CHECKING:
+if not TYPE_CHECKING:
     from collections.abc import Sequence
-    if last.number >= MAX_ATTEMPTS:
+    if last.number > MAX_ATTEMPTS:
"""


def test_a_survivor_without_a_reason_is_named() -> None:
    for module in TESTS:
        assert unexplained(module, REPORT) == ["if last.number > MAX_ATTEMPTS:"]


def test_a_reason_holds_for_its_module_alone() -> None:
    line = "+    if refused_connections is CONNECT_ATTEMPTS:\n"
    assert unexplained("jobs/submit", line) == []
    assert unexplained("jobs/settle", line) == ["if refused_connections is CONNECT_ATTEMPTS:"]
