"""WorkflowInstanceSensor: wait for the end of an instance that somebody else started."""

from __future__ import annotations

import contextlib
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from airflow_provider_orchestration.api.inputs import check_id
from airflow_provider_orchestration.exceptions import (
    FlowsApiError,
    InstanceFailedError,
    InvalidInputError,
    NotFoundError,
)
from airflow_provider_orchestration.run.durations import Duration, seconds_of
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge, sign_of_death
from airflow_provider_orchestration.run.judge.reading import read_instance
from airflow_provider_orchestration.run.judge.result import result_of, with_transactions
from airflow_provider_orchestration.run.judge.stages import failure
from airflow_provider_orchestration.run.submit.door import OneDoor
from airflow_provider_orchestration.run.templates import TextFields
from airflow_provider_orchestration.run.wait.in_worker import look_now
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from airflow_provider_orchestration.run.words import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
    from airflow_provider_orchestration.run.wait.watch import Look

#: Looks that must all say "no such instance" before it is believed: a new instance is not found for a moment.
_NOT_FOUND_LOOKS = 3
_NOT_FOUND_PAUSE = 2.0


class WorkflowInstanceSensor(OneDoor, TextFields, BaseSensorOperator):
    """
    Waits until a Flows instance has ended; green only if it is known to have succeeded.

    A failed instance fails the sensor without a retry (``soft_fail`` skips it, ``never_fail`` skips any failure, a
    ``timeout`` too). A look that fails (server down, token refused) is told in the log and is no failure of the
    instance: the sensor goes on until its ``timeout``. A client that may only read is enough. ``mode``, ``timeout``,
    ``soft_fail``, ``exponential_backoff``, ``max_wait`` etc. are those of every Airflow sensor, and hold when
    deferrable, too.

    XCom: the return value is a dict as that of ``RunWorkflowOperator``.

    :param instance_id: the instance (templated).
    :param poke_interval: duration between two looks (seconds, ``timedelta``, ``pendulum.Duration``). Default 10 s.
    :param deferrable: wait in the triggerer. Default ``[operators] default_deferrable``.
    :param formance_conn_id: the Airflow connection. Default ``formance_default``.
    """

    template_fields: Sequence[str] = ("instance_id", "formance_conn_id")
    ui_color = "#e1ecf7"
    ends_waiting = "timeout"

    def __init__(
        self,
        *,
        instance_id: str,
        formance_conn_id: str = "formance_default",
        deferrable: bool | None = None,
        poke_interval: Duration = 10.0,
        **kwargs: Any,
    ) -> None:
        # Before Airflow's own check, whose text names neither the argument nor the value where that is a NaN.
        seconds_of("poke_interval", poke_interval)
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.instance_id = instance_id
        self.formance_conn_id = formance_conn_id
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self._workflow_id: str | None = None

    def execute(self, context: Context) -> Any:
        """Wait in the worker, or look once and then wait in the triggerer."""
        if not self.deferrable:
            # Airflow's own `never_fail` lets a timeout fail in the worker.
            with self._skip_instead():
                return super().execute(context)
        deadline = time.time() + self.timeout
        with self._skip_instead():
            first = self.poke(context)
        if isinstance(first, PokeReturnValue):
            return first.xcom_value
        return self._defer(deadline, context)

    @contextlib.contextmanager
    def _skip_instead(self) -> Iterator[None]:
        """Skip instead of failing where ``soft_fail`` or ``never_fail`` asks for it, the same in every mode."""
        try:
            yield
        except (AirflowSkipException, AirflowRescheduleException):
            raise
        except Exception as error:
            if self.never_fail or (self.soft_fail and isinstance(error, AirflowFailException | AirflowSensorTimeout)):
                raise AirflowSkipException(f"skipped instead of failed: {error}") from None
            raise

    def _defer(self, deadline: float, context: Context) -> NoReturn:
        from airflow_provider_orchestration.triggers.instance import InstanceEndTrigger

        self.wait_in_triggerer(
            context,
            InstanceEndTrigger(
                formance_conn_id=self.formance_conn_id,
                instance_id=self.instance_id,
                workflow_id=self._workflow_id,
                poll_interval=self.poke_interval,
                deadline=deadline,
                not_found_after=_NOT_FOUND_LOOKS,
                exponential_backoff=self.exponential_backoff,
                longest_interval=self.max_wait.total_seconds() if self.max_wait else None,
            ),
            "execute_complete",
            {"deadline": deadline},
        )

    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once: False while it runs or cannot be read."""
        with task_failures(self.log):
            check_id("instance_id", self.instance_id)
            verdict = self._watch.take(look := self._look())
            if look.instance is None:
                return False
            self._workflow_id = look.instance.workflow_id
            outcome = judge(look.instance)
            if verdict is not None and verdict.verdict == "dead":
                outcome = Outcome(State.DEAD, verdict.stage, verdict.error)
            return PokeReturnValue(True, self._result(look.instance, outcome)) if outcome.ended else False

    def execute_complete(self, context: Context, deadline: float = 0.0, event: object = None) -> dict[str, Any]:
        """
        Go on after the triggerer has waited; what the instance itself says now counts.

        :param deadline: epoch seconds at which ``timeout`` passes.
        """
        with self._skip_instead(), task_failures(self.log):
            verdict = Verdict.from_event(event, self.instance_id)
            if verdict.verdict == "not_found":
                raise self._unknown(verdict.error)
            try:
                instance, outcome = read_instance(self._client, self.instance_id)
            except FlowsApiError as error:
                why = f"instance {self.instance_id} cannot be read now: {error}"
            else:
                if verdict.verdict == "dead" and not outcome.ended:
                    outcome = Outcome(State.DEAD, verdict.stage, verdict.error)
                if outcome.ended:
                    return self._result(instance, outcome)
                why = f"instance {self.instance_id} goes on"
            if time.time() >= deadline:
                raise AirflowSensorTimeout(f"timeout of {in_words(self.timeout)} passed; {why}")
        self.log.warning("it was said to be over (%s), but %s; waiting again", verdict.verdict, why)
        # The triggerer may read what cannot be read from here, and would come back at once.
        time.sleep(max(0.0, min(self.poke_interval, deadline - time.time())))  # noqa: TID251 - as a sensor in the worker does
        return self._defer(deadline, context)

    def _look(self) -> Look:
        """Look, again for a moment where there is no such instance or it seems dead: neither is believed at once."""
        # A rescheduled sensor is a new process each time, and remembers no earlier look.
        seems_dead = False
        for attempt in range(_NOT_FOUND_LOOKS):
            with_history = self.reschedule or self._watch.wants_history
            look = look_now(self._hook, self.instance_id, with_history=with_history)
            not_found = isinstance(look.error, NotFoundError)
            dying = (
                look.instance is not None and bool(look.history) and sign_of_death(look.instance, look.history or ())
            )
            if not not_found and (not dying or seems_dead):
                return look
            if not_found and attempt == _NOT_FOUND_LOOKS - 1:
                raise self._unknown(str(look.error))
            if dying:
                seems_dead = True
                self._watch.take(look)
            time.sleep(  # noqa: TID251 - a poke may take its time
                Watch.DEATH_PAUSE if dying else _NOT_FOUND_PAUSE
            )
        return look

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self.instance_id, self.log)

    @cached_property
    def _hook(self) -> OrchestrationHook:
        from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook

        return OrchestrationHook(self.formance_conn_id)

    @property
    def _client(self) -> FlowsClient:
        return self._hook.get_conn()

    def _unknown(self, error: str | None) -> InvalidInputError:
        return InvalidInputError(f"instance_id: the stack knows no instance {self.instance_id!r}: {error}")

    def _result(self, instance: Instance, outcome: Outcome) -> dict[str, Any]:
        result = with_transactions(result_of(instance, outcome), self._client, self.log)
        if outcome.state is not State.SUCCEEDED:
            raise InstanceFailedError(
                f"instance {instance.id} {outcome.state}: {failure(instance, outcome)}", instance_id=instance.id
            )
        return result
