"""The only reader of environment variables, and the only reader and writer of `settings.json`.

Environment variables win over `settings.json`. Names in the file are those of the variables in lower case
without the prefix (`{"max_units_per_day": 300}`). The file holds no keys: see `accounts/profiles.py`.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import filelock
import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .errors import SettingsError
from .files import write_file
from .origins import CHINA_ORIGIN, GLOBAL_ORIGIN, is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

NameList = Annotated[tuple[str, ...], NoDecode]
LIMITS = ("max_units_per_prompt", "max_units_per_day")
"""The settings that the page may change."""
LARGEST_LIMIT = 1_000_000
LOCK_SECONDS = 10
STORE_KEYS = frozenset({"store_access_key", "store_secret_key"})
HOST_FIELDS = (
    "store_url",
    "store_endpoint",
    "store_region",
    "store_access_key",
    "store_secret_key",
    "public_url",
    "gateway_port",
)
"""What decides where local clips are put."""


def config_folder() -> Path:
    """Return the folder that holds `settings.json` and, unless moved, `credentials.json`."""
    return platformdirs.user_config_path("kling-once", appauthor=False)


LOCAL_POLL_SECONDS = 0.2
"""Between two looks at a task of a service on this machine."""


class Settings(BaseSettings):
    """Everything an operator may set."""

    model_config = SettingsConfigDict(
        env_prefix="KLING_ONCE_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("kling-once", appauthor=False),
        description="Ledger, sandbox state and gateway state.",
    )
    results: Path | str | None = Field(
        default=None,
        description="Where results are kept: a folder, or a bucket that machines share (`s3://`, `gs://`, `az://`);"
        " default `<home>/results`.",
    )
    cache: Path | None = Field(
        default=None,
        description="Folder that holds the newest results of a bucket; default `<home>/cache`, in ComfyUI its"
        " output folder.",
    )
    cache_gb: Decimal = Field(
        default=Decimal(20), gt=0, description="Size of that folder; beyond it the oldest leave it."
    )
    ledger_url: SecretStr | None = Field(
        default=None,
        description="Ledger on PostgreSQL, for several machines:"
        " `postgresql+psycopg://user:password@host/database`; default: SQLite in the home.",
    )
    credentials_file: Path = Field(
        default_factory=lambda: config_folder() / "credentials.json", description="Named profiles, mode 0600."
    )
    max_units_per_prompt: Decimal = Field(
        default=Decimal(80), ge=0, description="Most units one prompt may spend."
    )
    max_units_per_day: Decimal = Field(
        default=Decimal(300), ge=0, description="Most units one day may spend."
    )
    max_parallel: int = Field(default=3, ge=1, le=100, description="Tasks this process runs at once.")
    account_parallel: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Tasks of one account and model at once, over all processes that share a ledger;"
        " default: as many as Kling allows.",
    )
    poll_seconds: float = Field(
        default=5.0,
        gt=0,
        le=600,
        description="Pause between two looks at a task; unless it is set,"
        " a fifth of a second where the service is on this machine.",
    )
    settle_seconds: float = Field(
        default=90.0,
        gt=0,
        le=3600,
        description="How long a lost create is looked for before it counts as absent.",
    )
    create_seconds: float = Field(
        default=60.0, gt=0, le=600, description="How long a create may stay without an answer."
    )
    sandbox_url: str | None = Field(default=None, description="A running sandbox; default: the embedded one.")
    sandbox_api_key: SecretStr | None = Field(
        default=None, description="Key of that sandbox, when it is not the default."
    )
    sandbox_token: SecretStr | None = Field(default=None, description="Token of that sandbox's own paths.")
    allow_hosts: NameList = Field(
        default=(),
        description="Hosts on private addresses that results may be downloaded from, comma separated.",
    )
    callback_origins: NameList = Field(
        default=(), description="Origins that a callback_url may name, comma separated."
    )
    trusted_origins: NameList = Field(
        default=(),
        description="Pages that may call our routes in ComfyUI although a proxy hides their Host,"
        " comma separated.",
    )
    account_browse: Literal["own", "all"] = Field(
        default="all",
        description="Tasks of the account that are listed and fetched: those of our ledger, or all."
        " Default in ComfyUI: own when it listens beyond this machine.",
    )
    store_url: str | None = Field(
        default=None, description="Object store for reference videos: s3://, gs://, az://."
    )
    embed_workflow: bool = Field(
        default=True,
        description="Put the workflow that ordered a video into its file, so that the file opens its graph;"
        " ComfyUI's `--disable-metadata` turns it off.",
    )
    store_endpoint: str | None = Field(
        default=None,
        description="Address of an S3-like store; default: its own variables, or Amazon.",
    )
    store_region: str | None = Field(default=None, description="Region of that bucket.")
    store_access_key: SecretStr | None = Field(
        default=None, description="Access key of that bucket; default: its own variables."
    )
    store_secret_key: SecretStr | None = Field(default=None, description="Secret key of that bucket.")
    gateway_port: int = Field(default=8189, ge=0, le=65535, description="Loopback port of the gateway.")
    public_url: str | None = Field(
        default=None, description="Address of the tunnel or proxy before the gateway."
    )
    webhook_secret: SecretStr | None = Field(
        default=None, description="Secret of signed callbacks (whsec_...)."
    )
    klingai_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("KLINGAI_API_KEY"), description="Kling's API key."
    )
    klingai_access_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("KLINGAI_ACCESS_KEY"),
        description="Kling's access key; needs the secret key too.",
    )
    klingai_secret_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("KLINGAI_SECRET_KEY"), description="Kling's secret key."
    )
    klingai_base_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("KLINGAI_BASE_URL"),
        description=f"Where these keys are valid; default `{GLOBAL_ORIGIN}`, China: `{CHINA_ORIGIN}`.",
    )
    klingai_api_generation: Literal["legacy", "standard"] = Field(
        default="legacy",
        validation_alias=AliasChoices("KLINGAI_API_GENERATION"),
        description="Which of Kling's two APIs gets new tasks; a profile may say so itself with `api`.",
    )

    @field_validator("allow_hosts", "callback_origins", "trusted_origins", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("home", "cache", "credentials_file")
    @classmethod
    def _whole_path(cls, value: Path | None) -> Path | None:
        return value and value.expanduser().absolute()

    @field_validator("results")
    @classmethod
    def _folder_or_bucket(cls, value: Path | str | None) -> Path | str | None:
        if value is None or "://" in str(value):
            return value
        return Path(value).expanduser().absolute()

    @field_validator("klingai_api_key", "klingai_access_key", "klingai_secret_key")
    @classmethod
    def _no_blank_key(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value and value.get_secret_value().strip() else None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic-settings passes it by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, the environment, the media host that the page has saved, then `settings.json`."""
        file = InitSettingsSource(settings_cls, _file_values(config_folder() / "settings.json"))
        return init_settings, env_settings, InitSettingsSource(settings_cls, _saved_host()), file

    @property
    def results_folder(self) -> Path:
        """Return the folder of results on this disk: of all, or of those that a bucket's cache holds."""
        if self.results_url is not None:
            return self.cache or self.home / "cache"
        return Path(self.results) if self.results else self.home / "results"

    @property
    def results_url(self) -> str | None:
        """Return the address of the bucket that keeps results, None where a folder does."""
        return str(self.results) if self.results is not None and "://" in str(self.results) else None

    def pace(self, origin: str) -> Pace:
        """Return the intervals for `origin`: at least a second, except on loopback.

        A task of a sandbox on this machine is looked at often unless somebody has set how often.
        """
        is_local = is_loopback(origin)
        floor = 0.0 if is_local else 1.0
        is_set = "poll_seconds" in self.model_fields_set
        return Pace(
            LOCAL_POLL_SECONDS if is_local and not is_set else max(self.poll_seconds, floor),
            max(self.settle_seconds, floor),
            max(self.create_seconds, 10 * floor),
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals and time limits of requests to one origin."""

    poll_seconds: float
    settle_seconds: float
    create_seconds: float


def is_from_environment(field: str) -> bool:
    """Tell whether an environment variable sets this field, and so wins over `settings.json`."""
    return bool(os.environ.get(variable_of(field)))


def certificate_places() -> tuple[str | None, ...]:
    """Return where the environment says that trusted certificates lie, as OpenSSL's own variables name it."""
    return tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))


def has_desktop() -> bool:
    """Tell whether this process runs on a desktop, on which a window can be opened."""
    return sys.platform in {"win32", "darwin"} or bool({"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys())


def unknown_variables() -> list[str]:
    """Return the environment's `KLING_ONCE_` variables that name no setting."""
    known = {variable_of(field) for field in Settings.model_fields}
    return sorted(
        name for name in os.environ if name.upper().startswith("KLING_ONCE_") and name.upper() not in known
    )


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `settings.json`.

    Raises:
        SettingsError: a value is not valid; the message names the variable, never the value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = [f"{variable_of(str(item['loc'][0]))}: {item['msg']}" for item in error.errors()]
        raise SettingsError(
            "Settings cannot be used: " + "; ".join(lines) + ".",
            hint=f"They come from the environment or from {config_folder() / 'settings.json'}.",
        ) from None


def variable_of(field: str) -> str:
    """Return the variable of the environment that holds a setting."""
    name = field.upper()
    return name if name.startswith("KLINGAI_") else f"KLING_ONCE_{name}"


def host_from_environment() -> str:
    """Return the variable of the environment that chooses a media host, empty where none does."""
    names = (variable_of(name) for name in ("store_url", "public_url") if is_from_environment(name))
    return next(names, "")


def saved_host_path() -> Path:
    """Return the file in which the page keeps its media host, mode 0600."""
    return config_folder() / "hosting.json"


def _saved_host() -> dict[str, Any]:
    """Return the media host that was set up in the page, unless the environment chooses one."""
    path = saved_host_path()
    if host_from_environment() or not path.exists():
        return {}
    values = _read_object(path)
    if os.name == "posix" and (mode := path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        raise SettingsError(
            f"{path} may be read by other users (mode {stat.S_IMODE(mode):04o}).",
            hint=f"Run: chmod 600 {path}",
        )
    return {
        name: values.get(name) for name in HOST_FIELDS if name in values and not is_from_environment(name)
    }


def _read_object(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise SettingsError(
            f"{path} is not JSON.", hint='It looks like {"max_units_per_day": 300}.'
        ) from None
    if not isinstance(values, dict):
        raise SettingsError(f"{path} is not an object.", hint='It looks like {"max_units_per_day": 300}.')
    return values


def _file_values(path: Path) -> dict[str, Any]:
    """Return what `settings.json` sets; an unknown name is refused, since it may be a misspelt limit."""
    values = _read_object(path)
    known = {name for name in Settings.model_fields if not name.startswith("klingai_")} - STORE_KEYS
    strange = sorted(set(values) - known)
    if any(name.lower().startswith("klingai_") or name in STORE_KEYS for name in strange):
        raise SettingsError(
            f"{path} names a KLINGAI_ setting or a key.",
            hint="Keys and their address belong in the environment or in credentials.json, which others"
            " cannot read.",
        )
    if strange:
        raise SettingsError(
            f"{path} sets what is no setting: {', '.join(name[:60] for name in strange[:10])}.",
            hint=f"There are: {', '.join(sorted(known))}.",
        )
    return values


def write_limits(settings: Settings, wanted: Mapping[str, Decimal]) -> Settings:
    """Write spending limits to `settings.json` and return the settings with them; blocking.

    A limit that the environment sets may be given with the value it has; it is not written.

    Args:
        settings: the settings so far.
        wanted: units by name, of `LIMITS`.

    Raises:
        SettingsError: a value is no limit, the environment sets another, or the file cannot be written.
    """
    changes = {}
    for name, units in wanted.items():
        if name not in LIMITS or not units.is_finite() or not 0 <= units <= LARGEST_LIMIT:
            raise SettingsError(f"A limit is a number of units from 0 to {LARGEST_LIMIT}.")
        if not is_from_environment(name):
            changes[name] = units
        elif units != getattr(settings, name):
            raise SettingsError(
                f"{variable_of(name)} is set in the server's environment, which wins over the file.",
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
            write_file(path, json.dumps(values, indent=1) + "\n")
    except (OSError, ValueError, TypeError, filelock.Timeout):
        raise SettingsError(f"{path} cannot be written.") from None
    return settings.model_copy(update=changes)
