"""The ledger: every job and attempt, on disk before money moves."""
