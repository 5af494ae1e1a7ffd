"""The report of `kling-once doctor`: configuration without secrets, folders, and whether Kling answers."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..accounts.profiles import profile_of, read_profiles
from ..api.limits import GENERATION_GIVES, Generation
from ..errors import KlingOnceError, MissingCredentials
from ..order import Service
from ..settings import unknown_variables
from ..version import package_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..jobs.engine import Engine


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    text: str
    ok: bool = True
    broken: bool = False
    """Something that was set up does not work; `kling-once doctor` ends with exit code 1."""


def examine(engine: Engine, profile: str) -> Iterator[Finding]:
    """Yield the findings; the last one calls Kling."""
    settings = engine.settings
    yield Finding("version", f"Kling Once {package_version()}, Python {platform.python_version()}")
    yield _folder("home", settings.home)
    yield _folder("results", settings.results_folder)
    if settings.results_url is not None:
        yield _bucket(engine)
    ledger = _ledger(engine)
    yield ledger
    yield _profiles(engine)
    yield from _settings(engine)
    yield _key(engine, profile)
    yield _generation(engine, profile)
    if ledger.broken:
        text = "not asked, since nothing is sent without the ledger"
        yield Finding("media host", text, ok=False)
        yield Finding("service", text, ok=False)
        return
    yield _media_host(engine)
    yield _service(engine, profile)


def _folder(subject: str, path: Path) -> Finding:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    text = f"{path} ({len(files)} files, {size / 1e6:.1f} MB)"
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding(subject, text)
    return Finding(subject, f"{text} cannot be written.", ok=False, broken=True)


def _bucket(engine: Engine) -> Finding:
    try:
        return Finding("results store", engine.store.describe())
    except KlingOnceError as error:
        return Finding("results store", str(error), ok=False, broken=True)


def _ledger(engine: Engine) -> Finding:
    try:
        return engine.ask(_ledger_finding(engine)).result()
    except KlingOnceError as error:
        return Finding("ledger", str(error), ok=False, broken=True)


async def _ledger_finding(engine: Engine) -> Finding:
    ledger = await engine.ledger()
    await ledger.require_writable()
    return Finding("ledger", await ledger.describe())


def _profiles(engine: Engine) -> Finding:
    path = engine.settings.credentials_file
    try:
        names = sorted(read_profiles(path))
    except KlingOnceError as error:
        return Finding("profiles", str(error), ok=False, broken=True)
    shown = ", ".join(repr(name) for name in names) or "none"
    return Finding("profiles", f"{path}: {shown}")


def _settings(engine: Engine) -> Iterator[Finding]:
    settings = engine.settings
    chosen = sorted(name for name in settings.model_fields_set if getattr(settings, name) is not None)
    yield Finding("set", ", ".join(chosen) or "nothing; every setting has its default")
    if unknown := unknown_variables():
        text = f"{', '.join(unknown)}: no setting is called so; docs/reference/settings.md lists all."
        yield Finding("unknown variables", text, ok=False)
    yield Finding(
        "limits",
        f"{settings.max_units_per_prompt:f} units a prompt, {settings.max_units_per_day:f} units a day,"
        f" {settings.max_parallel} tasks at once",
    )


def _media_host(engine: Engine) -> Finding:
    settings = engine.settings
    if not settings.store_url and not settings.public_url:
        return Finding("media host", "none; reference videos go to Kling as URLs of your own")
    try:
        kind, found = engine.leftovers().result()
    except KlingOnceError as error:
        return Finding("media host", str(error), ok=False, broken=True)
    size = sum(item.size_bytes for item in found)
    return Finding("media host", f"{kind}: holds {len(found)} clips of ours, {size / 1e6:.1f} MB")


def _key(engine: Engine, profile: str) -> Finding:
    try:
        found = profile_of(engine.settings, profile)
    except KlingOnceError as error:
        return Finding("key", str(error), ok=False, broken=not _is_without_key(error, profile))
    kind = "API key" if found.api_key else "access key and secret key"
    return Finding("key", f"{kind}, from the {found.source}, for {found.origin}")


def _generation(engine: Engine, profile: str) -> Finding:
    try:
        spoken = Generation(engine.accounts.generation(Service.KLING, profile))
    except KlingOnceError as error:
        return Finding("API", str(error), ok=False)
    other = next(one for one in Generation if one is not spoken)
    return Finding(
        "API",
        f"{spoken}; {other} gives {GENERATION_GIVES[other]} (KLINGAI_API_GENERATION, or api of a profile)",
    )


def _service(engine: Engine, profile: str) -> Finding:
    try:
        origin = engine.accounts.origin(Service.KLING, profile)
        packs = engine.packs(Service.KLING, profile, timedelta(days=30)).result()
    except KlingOnceError as error:
        return Finding("service", str(error), ok=False, broken=not _is_without_key(error, profile))
    online = [pack for pack in packs if pack.status == "online"]
    left = ", ".join(f"{pack.resource_pack_name}: {pack.remaining_quantity} units left" for pack in online)
    return Finding("service", f"{origin} answers and takes the key; {left or 'no prepaid pack is online'}")


def _is_without_key(error: KlingOnceError, profile: str) -> bool:
    """Return whether nothing more is wrong than that nobody gave a key: the sandbox needs none."""
    return isinstance(error, MissingCredentials) and not profile
