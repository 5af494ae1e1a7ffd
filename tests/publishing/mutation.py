"""Mutation testing of one module: change one line after the other, and see whether its tests notice.

`python -P -m tests.publishing.mutation ledger/decision` needs cosmic-ray. It works on a copy of the checkout,
so that an end in the middle leaves no changed line behind. The survivors are printed as differences; those
that behave as the module does are listed with their reasons in equivalent_mutants.toml.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = {
    "ledger/decision": ["tests/ledger/test_decision.py"],
    "jobs/submit": ["tests/jobs/test_submitting.py", "tests/jobs/test_submit_inputs.py"],
    "jobs/settle": ["tests/jobs/test_settling.py"],
}
"""Only tests that take seconds, since they run once for each mutant."""
PLUGINS = "-p no:cacheprovider -p pytest_asyncio.plugin -p pytest_timeout"
OPTIONS = f"--noconftest -o addopts=--import-mode=importlib {PLUGINS}"
"""Without the plugins and fixtures that these tests do not use: starting is most of what a mutant takes."""
CONFIGURATION = """
[cosmic-ray]
module-path = "kling_once/{module}.py"
timeout = 120.0
excluded-modules = []
test-command = "{python} -P -m pytest -x -q {options} {tests}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
# `|` stands in annotations, which nothing runs
exclude-operators = ["core/ReplaceBinaryOperator_BitOr_.*"]
"""


def unexplained(module: str, report: str) -> list[str]:
    """Return the changed lines of surviving mutants that `equivalent_mutants.toml` does not explain."""
    rows = tomllib.loads((Path(__file__).parent / "equivalent_mutants.toml").read_text(encoding="utf-8"))
    known = [row["line"] for row in rows["mutant"] if re.fullmatch(row["module"], module)]
    added = re.findall(r"^\+(?!\+\+)\s*(.*?)\s*$", report, re.MULTILINE)
    return [line for line in added if not any(re.fullmatch(pattern, line) for pattern in known)]


def main(module: str) -> int:
    """Mutate one module; the exit code is 1 when a mutant survives that nobody has explained."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "checkout"
        shutil.copytree(
            ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "node_modules", ".coverage*")
        )
        tests = " ".join(TESTS[module])
        configuration = CONFIGURATION.format(
            module=module, python=sys.executable, options=OPTIONS, tests=tests
        )
        (copy / "mutation.toml").write_text(configuration, encoding="utf-8")

        def run(*words: str, quiet: bool = False) -> str:
            output = subprocess.PIPE if quiet else None
            environment = os.environ | {"PYTHONPATH": str(copy), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            done = subprocess.run(words, cwd=copy, check=True, text=True, stdout=output, env=environment)
            return done.stdout or ""

        run("cosmic-ray", "init", "mutation.toml", "session.sqlite")
        run("cr-filter-operators", "session.sqlite", "mutation.toml")
        run("cosmic-ray", "baseline", "mutation.toml")
        run("cosmic-ray", "exec", "mutation.toml", "session.sqlite")
        report = run("cr-report", "--show-diff", "--surviving-only", "session.sqlite", quiet=True)
    sys.stdout.write(report)
    lines = unexplained(module, report)
    sys.stdout.write("".join(f"Not explained: {line}\n" for line in lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
