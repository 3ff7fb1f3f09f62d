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
    NotFoundError,
)
from airflow_provider_orchestration.run.durations import Duration, seconds_of
from airflow_provider_orchestration.run.judge.failing import task_failures
from airflow_provider_orchestration.run.judge.outcome import Outcome, State, judge, sign_of_death
from airflow_provider_orchestration.run.submit.door import OneDoor
from airflow_provider_orchestration.run.templates import TextFields
from airflow_provider_orchestration.run.wait.ending import read_end, result_of_success, unknown_instance
from airflow_provider_orchestration.run.wait.in_worker import look_now
from airflow_provider_orchestration.run.wait.watch import Verdict, Watch
from airflow_provider_orchestration.run.words import in_words
from airflow_provider_orchestration.sensors.in_triggerer import NOT_FOUND_LOOKS, begin_in_triggerer, trigger_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance
    from airflow_provider_orchestration.hooks.orchestration import OrchestrationHook
    from airflow_provider_orchestration.run.wait.watch import Look

#: Seconds before an instance that was not found is looked for again: a new one is not found for a moment.
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
    :param end_from_trigger: of a deferrable sensor: the triggerer itself ends the task where the instance succeeded, or
        where it is to be skipped; it needs no second execution in a worker. Default True. What is told then stands in
        the triggerer's part of the log, and Airflow does not count the worker's metrics (``task.duration``). A worker
        ends it all the same where something would be missed: failures and timeouts (so that retries stay as they are),
        ``on_success_callback``, ``on_skipped_callback``, ``outlets``, ``multiple_outputs``, ``post_execute``, a task
        that is mapped over the result, a subclass with its own methods, listeners and ``[core] xcom_backend``.
    :param start_from_trigger: of a deferrable sensor: Airflow begins it in the triggerer, without a worker. Default
        False, for Airflow then reads the whole DAG again for each one (slow in a DAG of hundreds of tasks), shows no
        rendered fields, keeps the XCom of an earlier try until the sensor is green again, and calls the trigger off at
        ``execution_timeout`` (the sensor then goes on in a worker). ``timeout`` counts from the beginning all the same.
        Not for a mapped sensor (Airflow begins it in a worker), nor where ``instance_id`` is no text,
        ``end_from_trigger`` is off, or ``on_execute_callback``, ``pre_execute``, ``inlets``, ``map_index_template``, or
        one of the above would be missed: a worker begins it.
    :raises ValueError: ``start_from_trigger`` of a sensor that is not deferrable.
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
        end_from_trigger: bool = True,
        start_from_trigger: bool = False,
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
        self.end_from_trigger = end_from_trigger
        self._workflow_id: str | None = None
        if start_from_trigger:
            if not deferrable:
                raise ValueError("start_from_trigger=True needs deferrable=True: there is no other way to wait there")
            self.start_trigger_args = begin_in_triggerer(self)
            self.start_from_trigger = self.start_trigger_args is not None

    def execute(self, context: Context) -> Any:
        """Wait in the worker, or look once and then wait in the triggerer."""
        if not self.deferrable:
            # Airflow's own `never_fail` lets a timeout fail in the worker.
            with self._skip_instead():
                return super().execute(context)
        deadline = self._began(context) + self.timeout
        with self._skip_instead():
            first = self.poke(context)
            if isinstance(first, PokeReturnValue):
                return first.xcom_value
            if time.time() >= deadline:
                raise self._timed_out(f"instance {self.instance_id} is not known to have ended")
        return self._defer(deadline, context)

    def _began(self, context: Context) -> float:
        """Return the epoch seconds at which this try began: in a trigger that Airflow began itself, or now."""
        if not (self.handed_over and self.start_trigger_args):
            return time.time()
        ti: Any = context["ti"]
        # A resume keeps it.
        return float(ti.start_date.timestamp())

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
        trigger_class, arguments = trigger_of(self, context)
        self.wait_in_triggerer(
            context,
            trigger_class(**arguments, workflow_id=self._workflow_id, deadline=deadline),
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
            return self._ended(look.instance, outcome) if outcome.ended else False

    def execute_complete(self, context: Context, deadline: float = 0.0, event: object = None) -> dict[str, Any]:
        """
        Go on after the triggerer has waited; what the instance itself says now counts.

        :param deadline: epoch seconds at which ``timeout`` passes.
        """
        with self._skip_instead(), task_failures(self.log):
            verdict = Verdict.from_event(event, self.instance_id)
            found = read_end(self._client, self.instance_id, verdict, self.log)
            if isinstance(found, dict):
                return found
            if time.time() >= deadline:
                raise self._timed_out(found)
        self.log.warning("it was said to be over (%s), but %s; waiting again", verdict.verdict, found)
        # The triggerer may read what cannot be read from here, and would come back at once.
        time.sleep(max(0.0, min(self.poke_interval, deadline - time.time())))  # noqa: TID251 - as a sensor in the worker does
        return self._defer(deadline, context)

    def _look(self) -> Look:
        """Look, again for a moment where there is no such instance or it seems dead: neither is believed at once."""
        # A rescheduled sensor is a new process each time, and remembers no earlier look.
        seems_dead = False
        for attempt in range(NOT_FOUND_LOOKS):
            with_history = self.reschedule or self._watch.wants_history
            look = look_now(self._hook, self.instance_id, with_history=with_history)
            not_found = isinstance(look.error, NotFoundError)
            dying = (
                look.instance is not None and bool(look.history) and sign_of_death(look.instance, look.history or ())
            )
            if not not_found and (not dying or seems_dead):
                return look
            if not_found and attempt == NOT_FOUND_LOOKS - 1:
                raise unknown_instance(self.instance_id, str(look.error))
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

    def _ended(self, instance: Instance, outcome: Outcome) -> PokeReturnValue:
        return PokeReturnValue(True, result_of_success(instance, outcome, self._client, self.log))

    def _timed_out(self, why: str) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(f"timeout of {in_words(self.timeout)} passed; {why}")
