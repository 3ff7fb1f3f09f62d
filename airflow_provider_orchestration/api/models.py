"""
What Flows answers, as typed values.

They read what the server really sends: unknown fields are ignored, null for a list is an empty one, times have up to
nine decimals (kept to the microsecond), ids are any text. What a decision may rest on is required: an instance without
`terminated` does not read as one that runs. Money is never a float: amounts are whole numbers of any size.
"""

# No `from __future__ import annotations`: msgspec needs the types at run time, and linters would move the imports away.
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

import msgspec

from airflow_provider_orchestration.exceptions import InvalidAnswerError

_T = TypeVar("_T")
if TYPE_CHECKING:
    # Flows sends null for an empty list or map; after reading they are never None.
    _List = list[_T]
    _Map = dict[str, _T]
else:
    _List = list[_T] | None
    _Map = dict[str, _T] | None

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """
    The base of all models: values that do not change, with attributes in Python's spelling.

    `serialize` and `deserialize` are what Airflow asks of a value that a task returns.
    """

    __version__: ClassVar[int] = 1

    def serialize(self) -> str:
        """Return the value as JSON text, as the API has it."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def deserialize(cls, data: str, version: int) -> Self:
        """
        Return the value of such a text.

        :raises TypeError: it comes from a newer version of this package
        """
        if version > cls.__version__:
            raise TypeError(f"{cls.__name__}: version {version} is newer than this package knows ({cls.__version__})")
        return msgspec.json.decode(data, type=cls)

    def to_dict(self) -> dict[str, Any]:
        """Return the value as JSON-able data: the API's own field names, times as ISO 8601 texts, None where absent."""
        data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return data


class ServerInfo(Model, frozen=True, kw_only=True):
    """The answer of ``/_info``."""

    version: str


class _Config(Model, frozen=True, kw_only=True):
    name: str | None = None
    stages: list[dict[str, Any]] | None = None


class Workflow(Model, frozen=True, kw_only=True):
    """
    A definition: its name and its stages. `deleted_at` is set once it has been deleted; it can still be run then.

    `config` is the definition's JSON as it came, undecoded: read `definition`, `name` and `stages`.
    """

    id: str
    config: msgspec.Raw
    created_at: Time
    updated_at: Time | None = None
    deleted_at: Time | None = None

    # Decoded when asked for: a list of instances repeats the whole definition in every item.

    @property
    def definition(self) -> dict[str, Any]:
        """The whole definition, as `FlowsClient.create_workflow` takes it."""
        return self._read_config(dict[str, Any])

    @property
    def name(self) -> str:
        """Name of the workflow; empty where it has none."""
        return self._read_config(_Config).name or ""

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The stages, each ``{kind: {...}}``, e.g. ``[{"wait_event": {"event": "approved"}}]``."""
        return self._read_config(_Config).stages or []

    def _read_config(self, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(self.config, type=kind)
        except msgspec.ValidationError as error:
            raise InvalidAnswerError(f"workflow {self.id}: no valid config: {error}", workflow_id=self.id) from error


class StageStatus(Model, frozen=True, kw_only=True):
    """How far a stage has come: begun when it is there, ended when it has `terminated_at`."""

    stage: int
    started_at: Time
    instance_id: str | None = msgspec.field(name="instanceID", default=None)
    temporal_run_id: str | None = msgspec.field(name="temporalRunID", default=None)
    terminated_at: Time | None = None
    error: str | None = None


class Instance(Model, frozen=True, kw_only=True):
    """One run of a workflow. Items of a list have no `status`, a run just submitted has no `workflow`."""

    id: str
    workflow_id: str = msgspec.field(name="workflowID")
    created_at: Time
    terminated: bool
    workflow: Workflow | None = None
    updated_at: Time | None = None
    terminated_at: Time | None = None
    error: str | None = None
    status: _List[StageStatus] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        _replace_null(self, "status", list)


class StageHistory(Model, frozen=True, kw_only=True):
    """A stage that has begun, as the engine tells it. `input` has the run's variables filled in."""

    name: str
    terminated: bool
    started_at: Time
    input: _Map[Any] = msgspec.field(default_factory=dict)
    terminated_at: Time | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        _replace_null(self, "input", dict)


class Activity(Model, frozen=True, kw_only=True):
    """A step of a stage, e.g. ``CreateTransaction``. One that is retried has `last_failure` and `next_execution`."""

    name: str
    terminated: bool
    started_at: Time
    input: _Map[Any] = msgspec.field(default_factory=dict)
    output: dict[str, Any] | None = None
    terminated_at: Time | None = None
    error: str | None = None
    last_failure: str | None = None
    attempt: int = 0
    next_execution: Time | None = None

    def __post_init__(self) -> None:
        _replace_null(self, "input", dict)


class Trigger(Model, frozen=True, kw_only=True):
    """A Flows trigger: starts an instance of its workflow when an event comes that its filter lets through."""

    id: str
    event: str
    workflow_id: str = msgspec.field(name="workflowID")
    created_at: Time
    name: str | None = None
    filter: str | None = None
    version: str | None = None
    vars: _Map[str] = msgspec.field(default_factory=dict)
    workflow: Workflow | None = None

    def __post_init__(self) -> None:
        _replace_null(self, "vars", dict)


class Occurrence(Model, frozen=True, kw_only=True):
    """One firing of a Flows trigger. With an `error` it started nothing."""

    trigger_id: str = msgspec.field(name="triggerID")
    date: Time
    event: dict[str, Any]
    id: str | None = None
    workflow_instance_id: str | None = msgspec.field(name="workflowInstanceID", default=None)
    workflow_instance: Instance | None = None
    error: str | None = None


def _replace_null(value: Model, field: str, empty: type[Any]) -> None:
    if getattr(value, field) is None:
        msgspec.structs.force_setattr(value, field, empty())
