"""Change the server's spending limits in `settings.json`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import filelock

from ..errors import SettingsError
from ..settings import config_folder, is_from_environment

if TYPE_CHECKING:
    from decimal import Decimal

    from ..settings import Settings

FIELDS: Final = ("max_units_per_prompt", "max_units_per_day")
LARGEST: Final = 1_000_000
LOCK_SECONDS: Final = 10


def write_limits(settings: Settings, wanted: dict[str, Decimal]) -> Settings:
    """Write limits to the file and return the settings that hold from here on; blocking.

    A limit that the environment sets may be sent along as it is; it is not written.

    Raises:
        SettingsError: a value is no limit, the environment sets another, or the file cannot be written.
    """
    changes = {}
    for name, units in wanted.items():
        if name not in FIELDS or not units.is_finite() or not 0 <= units <= LARGEST:
            raise SettingsError(f"A limit is a number of units from 0 to {LARGEST}.")
        if not is_from_environment(name):
            changes[name] = units
        elif units != getattr(settings, name):
            variable = f"KLING_ONCE_{name.upper()}"
            raise SettingsError(
                f"{variable} is set in the server's environment, which wins over the file.",
                hint="Change it there.",
            )
    if not changes:
        return settings
    path = config_folder() / "settings.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=LOCK_SECONDS):
            values: dict[str, Any] = {}
            if path.exists():
                values = json.loads(path.read_text(encoding="utf-8-sig"))
            values |= {name: float(units) for name, units in changes.items()}
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
            part.replace(path)
    except (OSError, ValueError, TypeError, filelock.Timeout):
        raise SettingsError(f"{path} cannot be written.") from None
    return settings.model_copy(update=changes)
