"""What the page may ask for: every field with its kind and its bounds."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from ..api.limits import PAGE_MAX, PAGE_SIZE_MAX, PATH_ID
from ..ledger.queries import Shown
from ..order import Service

JOB_KEY = r"^[a-z][0-9][0-9a-f]{64}$"
PROFILE = r"^([A-Za-z0-9][A-Za-z0-9 _.\-]{0,39})?$"
Profile = Annotated[str, Field(pattern=PROFILE)]
Code = Annotated[str, Field(max_length=40, description="A code printed by `kling-once keys allow`.")]
Secret = Annotated[SecretStr, Field(max_length=512)]
Units = Annotated[Decimal, Field(ge=0, le=1_000_000)]


def _whole_nodes(graph: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, node in graph.items():
        if not isinstance(node.get("class_type", ""), str) or not isinstance(node.get("inputs", {}), dict):
            raise ValueError(f"node {name[:20]!r} needs a text as class_type and an object as inputs")  # noqa: TRY004 - what pydantic hears
    return graph


Graph = Annotated[dict[str, dict[str, Any]], AfterValidator(_whole_nodes)]


class _Asked(BaseModel):
    """A request; a field that is not known is refused, lest one be misspelt."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Nothing(_Asked):
    """A request without fields."""


class JobsQuery(_Asked):
    """A page of the ledger's jobs."""

    offset: int = Field(0, ge=0, le=1_000_000)
    limit: int = Field(100, ge=1, le=500)
    search: str = Field("", max_length=200)
    shown: Shown = Shown.ALL


class JobPath(_Asked):
    """One job."""

    job_key: str = Field(pattern=JOB_KEY)


class AccountQuery(_Asked):
    """A page of an account's tasks."""

    service: Service = Service.SANDBOX
    profile: Profile = ""
    page: int = Field(1, ge=1, le=PAGE_MAX)
    page_size: int = Field(30, ge=1, le=PAGE_SIZE_MAX)


class AdoptBody(_Asked):
    """A task of the account that is to be collected."""

    service: Service
    task_id: str = Field(pattern=f"^{PATH_ID.pattern}$")
    profile: Profile = ""
    project: str = Field("", max_length=200)


class ForgetBody(_Asked):
    """Hide a job."""

    delete_file: bool = Field(default=False, strict=True)
    code: Code = ""


class HoldBody(_Asked):
    """Switch live submissions off, or on again."""

    held: bool = Field(strict=True)


class LimitsBody(_Asked):
    """New spending limits; what is left out stays."""

    max_units_per_prompt: Units | None = None
    max_units_per_day: Units | None = None
    code: Code = ""


class SaveKeyBody(_Asked):
    """A key to be stored on the server. It is never answered."""

    profile: Profile = ""
    region: str = Field(
        "", pattern="^(global|china)?$", description="Empty leaves it as it is; without one it is global."
    )
    api_key: Secret = SecretStr("")
    access_key: Secret = SecretStr("")
    secret_key: Secret = SecretStr("")
    replace: bool = Field(default=False, strict=True)
    code: Code = ""


class ProfileBody(_Asked):
    """One profile."""

    profile: Profile = ""


class ForgetKeyBody(ProfileBody):
    """A profile whose key is to be removed from the file."""

    code: Code = ""


class NodeBody(_Asked):
    """A node of a graph that is to be priced and checked before it runs."""

    node_id: str = Field(min_length=1, max_length=100)
    prompt: Graph = Field(description="The graph in ComfyUI's API format.")


def model_of(name: str) -> type[BaseModel]:
    """Return the request of this name."""
    return globals()[name]
