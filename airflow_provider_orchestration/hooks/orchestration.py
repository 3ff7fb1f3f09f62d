"""The hook: from an Airflow connection to a `FlowsClient`. Loads the HTTP libraries only when it is used."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.serde import allow_class

from airflow_provider_orchestration.api import models, operations
from airflow_provider_orchestration.exceptions import (
    AuthenticationError,
    ConnectionConfigError,
    FlowsApiError,
    FormanceError,
    InvalidAnswerError,
    NotConnectedError,
)
from airflow_provider_orchestration.hooks.connection import settings_from_connection
from airflow_provider_orchestration.hooks.operations import FlowsOperations

if TYPE_CHECKING:
    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.settings import ClientSettings


class _Masked:
    """
    Secrets that are masked in Airflow's logs, a bounded number in the life of a process.

    Airflow's masker never forgets: each secret makes the process larger and slower (airflow-facts, "Found in use").
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._known: set[bytes] = set()

    def mask(self, secret: str) -> None:
        """Mask a secret, unless it is, or there are too many."""
        from airflow.sdk.log import mask_secret

        known = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
        if known not in self._known and len(self._known) < self._at_most:
            self._known.add(known)
            mask_secret(secret)


#: What a triggerer may see in months: Airflow itself masks the password of each connection that is read.
_credentials = _Masked(200)
#: Tokens stand in no log line and no error of ours; masked are the first ones, for tasks that print what they get.
_tokens = _Masked(20)


# What the operations return can be returned from a task, and is taken in by any task whose DAG file imports the hook.
for _model in (
    models.ServerInfo,
    models.Workflow,
    models.Instance,
    models.StageStatus,
    models.StageHistory,
    models.Activity,
    models.Trigger,
    models.Occurrence,
):
    allow_class(_model)


class OrchestrationHook(FlowsOperations, BaseHook):
    """
    Calls Formance Flows with the credentials of an Airflow connection.

    What an operation returns can be returned from a task and given to the next one. (A task whose DAG file does not
    import this module takes it in where ``[core] allowed_deserialization_classes`` has
    ``airflow_provider_orchestration.*``.)

    The 17 operations are methods of the hook; `get_conn` gives the client itself. Both are the same in tasks, in
    ``@task`` functions and in the API server. A hook keeps its client, and so its connections to Flows; all hooks of
    a process with the same credentials share a token.

    :param formance_conn_id: id of a connection of type ``formance``, default ``formance_default``
    """

    conn_name_attr = "formance_conn_id"
    default_conn_name = "formance_default"
    conn_type = "formance"
    hook_name = "Formance"

    def __init__(self, formance_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.formance_conn_id = formance_conn_id
        self._client: FlowsClient | None = None
        self._read_at = float("-inf")

    def get_conn(self) -> FlowsClient:
        """
        Return the client of this connection, always the same unless :meth:`renewed_conn` found it changed.

        :raises AirflowNotFoundException: Airflow has no such connection
        :raises ConnectionConfigError: a field of it is wrong
        """
        return self._client or self.renewed_conn(time.monotonic())

    def renewed_conn(self, read_since: float) -> FlowsClient:
        """
        Return the client of this connection as Airflow had it at a time or later: a new one where it was changed.

        :param read_since: a moment of the monotonic clock, in seconds
        :raises AirflowNotFoundException: Airflow has no such connection
        :raises ConnectionConfigError: a field of it is wrong
        """
        if self._client is None or self._read_at < read_since:
            with _named(self.formance_conn_id):
                conn = self.get_connection(self.formance_conn_id)
            settings = settings_from_connection(conn)
            self._read_at = time.monotonic()
            if self._client is None or settings != self._client.settings:
                self._client = self.client_for(settings)
        return self._client

    @staticmethod
    def client_for(settings: ClientSettings) -> FlowsClient:
        """Return a new client that has its secrets masked in Airflow's logs."""
        from airflow_provider_orchestration.api.client import FlowsClient

        for secret in (settings.client_secret, unquote(urlsplit(settings.proxy or "").password or "")):
            if secret:
                _credentials.mask(secret)
        return FlowsClient(settings, on_token=_tokens.mask)

    @staticmethod
    async def get_async_settings(formance_conn_id: str = default_conn_name) -> ClientSettings:
        """
        Return how to reach the Flows of a connection, without blocking an event loop (in a trigger).

        :raises AirflowNotFoundException: Airflow has no such connection
        :raises ConnectionConfigError: a field of it is wrong
        """
        from airflow.providers.common.compat.connection import get_async_connection

        with _named(formance_conn_id):
            conn = await get_async_connection(formance_conn_id)
        return settings_from_connection(conn)

    def test_connection(self) -> tuple[bool, str]:
        """Try the address, the token and one authenticated read; say which of the three fails, and what to do."""
        from airflow.sdk.exceptions import AirflowNotFoundException

        try:
            client = self.get_conn()
        except (ConnectionConfigError, AirflowNotFoundException) as error:
            return False, str(error)
        try:
            return True, _try_out(client)
        except _FailedStepError as failure:
            return False, str(failure)
        finally:
            client.close()


@contextlib.contextmanager
def _named(formance_conn_id: str) -> Iterator[None]:
    """Say which argument names a connection that Airflow does not have."""
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException:
        raise AirflowNotFoundException(
            f"formance_conn_id is {formance_conn_id!r}: Airflow has no such connection; add one of type Formance"
        ) from None


class _FailedStepError(Exception):
    """A step of the connection test failed. The text says which and what to do."""


def _try_out(client: FlowsClient) -> str:
    flows = client.settings.base_url
    try:
        version = client.get_server_info(retries=1).version
    except FormanceError as error:
        _fail_address(flows, error)
    try:
        has_token = client.session.check_token()
    except FormanceError as error:
        raise _FailedStepError(
            f"The address is right (Flows {version} at {flows}), but there was no token: {error}"
        ) from error
    try:
        client.session.call_list(operations.LIST_TRIGGERS, models.Trigger, query={"pageSize": "1"}, retries=1)
    except AuthenticationError as error:
        advice = (
            "the client lacks the scope orchestration:read: give it to the client, and name it in scopes"
            if has_token
            else "this stack wants authentication: give client id and secret as login and password"
        )
        raise _FailedStepError(f"Address{' and token are' if has_token else ' is'} right, but {advice}") from error
    except FormanceError as error:
        raise _FailedStepError(
            f"Address{' and token are' if has_token else ' is'} right, but Flows could not be read: {error}"
        ) from error
    how = "token and a read accepted" if has_token else "a read accepted without authentication"
    return f"Flows {version} at {flows}: {how}; whether it may write was not tried"


def _fail_address(flows: str, error: FormanceError) -> NoReturn:
    if isinstance(error, NotConnectedError):
        advice = "nothing listens there, or it cannot be reached: look at host, port, proxy and verify"
    elif isinstance(error, InvalidAnswerError) or (isinstance(error, FlowsApiError) and error.status_code):
        advice = "something else than Flows answers there: look at host, port and flows_path"
    else:
        advice = "try again later, or look at host and port"
    raise _FailedStepError(f"The address does not lead to Flows ({flows}): {advice}. {error}") from error
