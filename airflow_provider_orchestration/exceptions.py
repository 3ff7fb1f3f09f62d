"""
The errors of this provider, one tree.

FormanceError
├ ConnectionConfigError         a field of the Airflow connection is wrong
├ InvalidInputError             an argument is wrong; nothing was sent (a ValueError, too)
├ FlowsApiError                 a call of the Flows API that did not go well
│ ├ NotFoundError               no such workflow, instance or trigger
│ ├ RefusedInputError           Flows looked at the request and refused it
│ ├ AuthenticationError         the credentials, or the scopes they give, do not suffice
│ ├ InstanceEndedError          the event came after the instance had ended
│ ├ ServerTroubleError          the server is in trouble; try again later
│ │ ├ NotConnectedError         the connection was never made
│ │ └ RateLimitedError          too many requests
│ ├ InvalidAnswerError          the answer is not one of Flows
│ ├ IncompleteListError         a list may be cut, and the rest of it cannot be had
│ └ OutcomeUnknownError         a write that may have happened, or may still happen
├ StoppedError                  the task was told to stop before it had submitted or sent anything
└ FinalError                    the task fails without a retry of Airflow; only a person can help
  ├ RecordError                 what is known of the task's run cannot be read or kept
  ├ AlreadySubmittedError       a task asks for something else than what it has submitted
  ├ InstanceFailedError         the instance failed, or is dead in the engine
  ├ UnknownRunError             whether the run was submitted could not be found out
  ├ StoppedWatchingError        the run goes on, but is watched no longer
  ├ EventNotTakenError          no stage will take the event, or whether one took it is not known
  └ CancelIgnoredError          Flows accepted the request to cancel, and the instance goes on

What the promise of this provider rests on: a write (any operation but a read) returns when Flows has accepted it,
raises `OutcomeUnknownError` when nobody can know, and any other `FlowsApiError` only if it is **proven that nothing
happened**.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class FormanceError(Exception):
    """
    The base of every error that this provider raises by itself.

    :param message: one short sentence: what happened
    :param details: a line each, for a log or a terminal: what more is known, and what a person can do
    """

    def __init__(self, message: str = "", *, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class ConnectionConfigError(FormanceError):
    """A field of the Airflow connection is wrong. The text names it, its value (unless secret) and what to do."""


class InvalidInputError(FormanceError, ValueError):
    """An argument is wrong. The text names it, its value and what to do. Nothing was sent."""


class FlowsApiError(FormanceError):
    """
    A call of the Flows API that did not go well.

    :param message: the text for people; never holds a secret
    :param operation: name of the operation, as in the API reference, e.g. ``run_workflow``
    :param status_code: HTTP status of the answer, None if there was none
    :param error_code: ``errorCode`` of the answer, e.g. ``VALIDATION``, None if it had none
    :param workflow_id: the workflow concerned, if any
    :param instance_id: the instance concerned, if any
    :param trigger_id: the Flows trigger concerned, if any
    :param retry_after: seconds after which the server wants to be asked again, None if it did not say
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str | None = None,
        status_code: int | None = None,
        error_code: str | None = None,
        workflow_id: str | None = None,
        instance_id: str | None = None,
        trigger_id: str | None = None,
        retry_after: float | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message, details=details)
        self.operation = operation
        self.status_code = status_code
        self.error_code = error_code
        self.workflow_id = workflow_id
        self.instance_id = instance_id
        self.trigger_id = trigger_id
        self.retry_after = retry_after


class NotFoundError(FlowsApiError):
    """Flows knows no such workflow, instance, stage or trigger (some of its answers for this are a 500)."""


class RefusedInputError(FlowsApiError):
    """Flows refused the request for what is in it: 400, 405, 413, 415, 422, or a workflow that is not valid."""


class AuthenticationError(FlowsApiError):
    """Not authorised: 401 with a fresh token, 403, or the token endpoint refused client, secret or scopes."""


class InstanceEndedError(FlowsApiError):
    """An event was sent to an instance that has ended."""


class ServerTroubleError(FlowsApiError):
    """5xx, 408, or a connection that broke or timed out; for a write only where it is proven that nothing happened."""


class NotConnectedError(ServerTroubleError):
    """The connection was never made: refused, name not found, timed out, TLS certificate not accepted."""


class RateLimitedError(ServerTroubleError):
    """429. `retry_after` says in how many seconds to come again, if the server said so."""


class InvalidAnswerError(FlowsApiError):
    """The answer is not one of Flows: HTML, empty, cut off, of the wrong shape, a redirect. For reads only."""


class IncompleteListError(FlowsApiError):
    """A list may be cut, or could not be read whole in time. It is never taken for whole."""

    #: What was read of it all the same: that something is there is proven by it, never that something is not.
    items: Sequence[Any] = ()


class OutcomeUnknownError(FlowsApiError):
    """A write whose effect is not known: it may have happened, or may still happen. Never send it again unseen."""


class StoppedError(FormanceError):
    """The task was told to stop before it had submitted or sent anything."""


class FinalError(FormanceError):
    """
    The task fails, and no retry of Airflow may or can help; only a person can.

    :param instance_id: the instance concerned, if one is known
    """

    def __init__(self, message: str, *, instance_id: str | None = None, details: Sequence[str] = ()) -> None:
        super().__init__(message, details=details)
        self.instance_id = instance_id


class RecordError(FinalError):
    """What is known of the task's run cannot be read or kept in Airflow's task state store."""


class AlreadySubmittedError(FinalError):
    """A task, cleared or in one try, asks for something else than what it submitted, and that has not been paid."""


class InstanceFailedError(FinalError):
    """The instance failed, or is dead in the engine."""


class UnknownRunError(FinalError):
    """Whether the run was submitted is not known, and could not be found out."""


class StoppedWatchingError(FinalError):
    """The run goes on, but is watched no longer: the deadline passed, or a stage fails again and again."""


class EventNotTakenError(FinalError):
    """No stage will take the event, or whether one took it is not known."""


class CancelIgnoredError(FinalError):
    """Flows accepted the request to cancel, and the instance goes on."""


#: Errors that the next request to the same stack would meet, too.
CONCERN_ALL = (AuthenticationError, NotConnectedError, RateLimitedError)
