"""The commands of a ledger that machines share: make its tables, bring a home's jobs in, take them out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import SettingsError
from ..order import Service
from .options import JsonOption  # noqa: TC001 - Typer reads it
from .session import engine_and_errors
from .terminal import out, print_json, shown

if TYPE_CHECKING:
    from ..accounts.accounts import Accounts
    from ..client import Client
    from ..ledger.ledger import Ledger
    from ..ledger.transfer import Transferred

ledger_app = typer.Typer(help="The ledger that several machines share.", no_args_is_help=True)
HomeArgument = Annotated[
    Path, typer.Argument(help="A folder as KLING_ONCE_HOME names it.", resolve_path=True)
]


@ledger_app.command("migrate")
def migrate(as_json: JsonOption = False) -> None:
    """Make the ledger's tables, or bring them to this version; every other command does it as well."""
    with engine_and_errors(as_json=as_json) as engine:
        told = engine.ask(_migrated(engine)).result()
    if as_json:
        print_json({"ledger": told})
    else:
        out.print(shown(told))


@ledger_app.command("import")
def bring_in(home: HomeArgument, as_json: JsonOption = False) -> None:
    """Bring the jobs of a home into this ledger; running it twice changes nothing more.

    End ComfyUI at that home first, and let it use this ledger from then on.
    """
    with engine_and_errors(as_json=as_json) as engine:
        if not (home / "ledger.db").is_file():
            raise SettingsError(f"{home} holds no ledger.db.", hint="Give the folder that is its home.")
        done = _transfer(engine, home, takes_out=False)
    _tell(done, as_json=as_json)


@ledger_app.command("export")
def take_out(home: HomeArgument, as_json: JsonOption = False) -> None:
    """Write the jobs of this ledger into the ledger of a home: a copy, or the way back to one machine."""
    with engine_and_errors(as_json=as_json) as engine:
        done = _transfer(engine, home, takes_out=True)
    _tell(done, as_json=as_json)


async def _migrated(engine: Client) -> str:
    ledger = await engine.ledger()
    await ledger.require_writable()
    return await ledger.describe()


def _transfer(engine: Client, home: Path, *, takes_out: bool) -> Transferred:
    if engine.settings.ledger_url is None and home == engine.settings.home.resolve():
        raise SettingsError(
            "This ledger is the one of that home.",
            hint="Set KLING_ONCE_LEDGER_URL to the one that is shared.",
        )
    return engine.ask(_transferred(engine, home, takes_out=takes_out)).result()


async def _transferred(engine: Client, home: Path, *, takes_out: bool) -> Transferred:
    from ..ledger.ledger import Ledger  # noqa: PLC0415 - for these commands alone

    shared = await engine.ledger()
    of_home = await Ledger.open(home, engine.clock)
    try:
        source, target = (shared, of_home) if takes_out else (of_home, shared)
        copy = await source.read_all()
        return await target.write_all(copy, await _fingerprints(engine.accounts, source, target))
    finally:
        of_home.close()


async def _fingerprints(accounts: Accounts, source: Ledger, target: Ledger) -> dict[str, str]:
    """Return the fingerprints of the configured accounts in `target`, by those in `source`."""
    from ..accounts.profiles import read_profiles  # noqa: PLC0415 - for these commands alone
    from ..errors import CredentialsError  # noqa: PLC0415 - likewise

    before = await source.fingerprint_key()
    after = await target.fingerprint_key(before)
    found: dict[str, str] = {}
    for profile in ("", *read_profiles(accounts.credentials_file)):
        try:
            pair = [accounts.account(Service.KLING, profile, key).fingerprint for key in (before, after)]
        except (CredentialsError, SettingsError):
            continue
        found[pair[0]] = pair[1]
    return found


def _tell(done: Transferred, *, as_json: bool) -> None:
    payload: dict[str, Any] = {
        "jobs": done.jobs,
        "attempts": done.attempts,
        "known": done.known,
        "left_out": list(done.left_out),
    }
    if as_json:
        print_json(payload)
        return
    out.print(f"{done.jobs} jobs and {done.attempts} attempts are new, {done.known} were known.")
    if done.left_out:
        out.print(
            f"Left out, since another task has their number or id: {', '.join(done.left_out)}", markup=False
        )
