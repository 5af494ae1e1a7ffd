"""Second processes, and a look into the ledger from outside, as the tests of jobs have them."""

from tests.jobs.conftest import ledger_file, python

__all__ = ["ledger_file", "python"]
