"""What deploy/compose.yaml starts, tried without containers: the same commands, the same environment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.fleet.conftest import Fleet
from tests.test_deploy import compose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.bucket import Bucket
    from tests.integration.vendor import Vendor
    from tests.postgresql import Postgresql
    from tests.process import Process

READ_ONLY = "/proc/self/home"
"""Nobody can make a folder there, not even root: a home of the container's user on a read-only root."""


def environment_of(service: str, **here: str) -> dict[str, str]:
    """Return a service's environment, with the addresses of this machine."""
    known = compose()[service]["environment"] | here
    return {name: re.sub(r"\$\{(\w+):\?\}", r"given-\1", value) for name, value in known.items()}


@pytest.mark.fleet
def test_the_services_of_the_compose_file_make_the_tables_and_collect_what_another_has_bought(
    vendor: Vendor,
    bucket: Bucket,
    postgresql: Postgresql,
    engines: Callable[..., Any],
    live_order: Callable[..., Any],
    cli: Callable[..., Process],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = Fleet(postgresql, postgresql.new_database(), tmp_path)
    monkeypatch.setenv("KLING_ONCE_LEDGER_URL", fleet.url)
    monkeypatch.setenv("KLING_ONCE_RESULTS", f"s3://{bucket.name}/videos")
    addresses = (
        *("KLING_ONCE_LEDGER_URL", "KLING_ONCE_RESULTS", "KLING_ONCE_STORE_URL", "KLINGAI_API_KEY"),
        *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    )
    here = {name: os.environ[name] for name in addresses}
    root = {"HOME": READ_ONLY, "XDG_CONFIG_HOME": f"{READ_ONLY}/config", "XDG_DATA_HOME": f"{READ_ONLY}/data"}
    temporary = {"TMPDIR": str(tmp_path / "tmp"), "KLING_ONCE_HOME": str(tmp_path / "tmp" / "kling-once")}
    (tmp_path / "tmp").mkdir()

    def start(service: str, *more: str) -> Any:
        words = compose()[service]["command"]
        return cli(*words, *more, **(environment_of(service, **here) | root | temporary)).end()

    made = start("migrate")
    assert made.code == 0, made.err
    vendor.move(policy="polls", polls=100_000)
    first = engines()
    first.submit(live_order()).result(60)
    first.close()
    vendor.move(policy="at once")

    for service in ("worker-1", "worker-2"):
        ended = start(service, "--once")
        assert ended.code == 0, ended.err

    assert fleet.states() == ["kept"]
    assert len(vendor.creates()) == 1
    assert [key for key in bucket.objects() if key.startswith("videos/") and key.endswith(".mp4")]
    probe = compose()["worker-1"]["healthcheck"]["test"][2:]
    told = cli(*probe, **(environment_of("worker-1", **here) | root | temporary)).end()
    assert told.code == 0, told.out
    postgresql.drop(fleet.database)
