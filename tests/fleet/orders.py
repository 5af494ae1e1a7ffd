"""Order several takes at once, as a worker of a fleet would; print what became of each as JSON.

TEST_AS_LIST=1 holds them against the limits together first, as a node does with a list; TEST_SENDS_NOTHING=1
stays right before each create.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from kling_once.clock import SystemClock
from kling_once.errors import KlingOnceError
from kling_once.jobs import submit
from kling_once.jobs.engine import Engine
from kling_once.order import MotionControl, Order, Service, Spender, VideoFile
from kling_once.settings import load_settings


class WrongClock(SystemClock):
    """The clock of a worker that nobody has set."""

    def __init__(self, minutes: float) -> None:
        self.ahead = timedelta(minutes=minutes)

    def now(self) -> datetime:
        return super().now() + self.ahead


async def _stay(_run: object) -> None:
    await asyncio.sleep(3600)


def main() -> None:
    picture, clip, takes = sys.argv[1:]
    engine = Engine(load_settings(), WrongClock(float(os.environ.get("TEST_CLOCK_MINUTES", "0"))))
    service = Service(os.environ.get("TEST_SERVICE", "sandbox"))
    orders = [
        Order(
            Path(picture),
            VideoFile(Path(clip)),
            MotionControl(take=take),
            service,
            spender=Spender(f"prompt-{os.getpid()}-{take}", "node"),
        )
        for take in json.loads(takes)
    ]
    if os.environ.get("TEST_SENDS_NOTHING"):
        submit._post = _stay
    if os.environ.get("TEST_AS_LIST"):
        engine.require_affordable(orders).result(500)
    pending = [engine.run(order) for order in orders]
    told = []
    for future in pending:
        try:
            outcome = future.result(500)
        except KlingOnceError as error:
            told.append({"error": type(error).__name__, "message": str(error)})
        else:
            told.append({"task_id": outcome.attempt.task_id, "there": outcome.path.is_file()})
    engine.close()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
