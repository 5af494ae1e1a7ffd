"""Jobs per second of 1, 4 and 16 workers that share a PostgreSQL, with a sandbox that answers at once.

Needs what the lane `fleet` needs: PostgreSQL's programs, and the packages of the extra `test`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from kling_once.demo import CHARACTER, MOTION  # noqa: E402 - after the path is set
from tests.postgresql import Postgresql, require_programs  # noqa: E402 - likewise

ORDERS = ROOT / "tests" / "fleet" / "orders.py"


def main() -> None:
    """Print a table row for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=96, help="of each row")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 4, 16])
    asked = parser.parse_args()
    server = Postgresql(require_programs())
    print("| workers | jobs | seconds | jobs a second | processor seconds a job | load before |")
    print("| --- | --- | --- | --- | --- | --- |")
    try:
        for workers in asked.workers:
            with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
                _row(server, Path(folder), workers, asked.jobs)
    finally:
        server.remove()


def _places(folder: Path, number: int) -> dict[str, str]:
    return {"KLING_ONCE_HOME": str(folder / f"home-{number}"), "KLING_ONCE_RESULTS": str(folder / "out")}


def _row(server: Postgresql, folder: Path, workers: int, jobs: int) -> None:
    command = [
        sys.executable,
        "-P",
        "-m",
        "kling_once.sandbox",
        "--port",
        "0",
        "--state",
        str(folder / "state"),
    ]
    command += ["--fetch", "any", "--quick-results", "--parallel-limit", "100", "--transitions", "at once"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KLING")}
    environment |= {"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(folder / "config")}
    sandbox = subprocess.Popen(  # noqa: S603 - ours
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        cwd=folder,
    )
    origin = (sandbox.stdout or sys.stdin).readline().strip().removeprefix("Kling sandbox listens on ")
    shared = environment | {
        "KLING_ONCE_SANDBOX_URL": origin,
        "KLING_ONCE_LEDGER_URL": server.url(server.new_database()),
        "KLING_ONCE_MAX_PARALLEL": "100",
        "KLING_ONCE_ACCOUNT_PARALLEL": "100",
    }
    load = os.getloadavg()[0]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    started = [
        subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-P", ORDERS, CHARACTER, MOTION, json.dumps(list(range(jobs))[number::workers])],
            env=shared | _places(folder, number),
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
        )
        for number in range(workers)
    ]
    told = [item for process in started for item in json.loads(process.communicate()[0])]
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    sandbox.terminate()
    sandbox.wait()
    if not all(item.get("there") for item in told):
        raise SystemExit(f"not everything was delivered: {told}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"| {workers} | {jobs} | {took:.1f} | {jobs / took:.1f} | {processor / jobs:.2f} | {load:.1f} |")


if __name__ == "__main__":
    main()
