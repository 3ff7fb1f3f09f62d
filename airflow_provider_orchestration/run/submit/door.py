"""
The one door: every execution of every operator and sensor of this provider comes in here, whatever Airflow calls.

Airflow calls ``execute``, or the method that a deferral named. The latter also on the next try after a clear of a
running task that had been resumed (airflow-facts, "Found in use"): with the event of a deferral that is past, and
without ``execute``. So a resume counts as one only where record, try, generation and event belong together. Anything
else begins anew, as ``execute`` does.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

from airflow_provider_orchestration.exceptions import RecordError
from airflow_provider_orchestration.run.record import Deferral
from airflow_provider_orchestration.run.store import RecordStore

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context

    _Base = BaseOperator
else:
    _Base = object

#: What Airflow calls to let a task fail whose trigger failed.
_FAIL = "__fail__"
#: What a trigger that Airflow began without a worker (``start_from_trigger``) names to begin in one.
BEGIN = "execute"
#: How often one try begins anew; then it fails, for a trigger that is always wrong must not let it go round for ever.
_TIMES = 3


class Nonced(Protocol):
    """A trigger whose event carries a nonce that the deferral gave it."""

    nonce: str


class OneDoor(_Base):
    """
    Lets an execution go on after a deferral only where it is the one that deferred.

    Comes first among the bases of an operator or sensor. Those defer by :meth:`wait_in_triggerer`.
    """

    #: What no subclass may do in its own way, or it would be another door.
    _closed: ClassVar = ("defer", "resume_execution", "wait_in_triggerer")
    #: Whether Airflow called this execution by a method that a deferral had named, fitting or not.
    came_back: bool = False
    #: The argument that bounds the waiting also while the task is deferred.
    ends_waiting: ClassVar[str] = "run_timeout"
    #: Whether Airflow's own trigger (``start_from_trigger``) waited first in this try, and hands over to this worker.
    handed_over: bool = False
    _anew: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if own := [name for name in cls._closed if getattr(cls, name) is not getattr(OneDoor, name)]:
            raise TypeError(f"{cls.__name__} may not define {', '.join(own)}: every execution comes in by one door")

    def wait_in_triggerer(
        self, context: Context, trigger: Nonced, method_name: str, kwargs: dict[str, Any] | None = None
    ) -> NoReturn:
        """
        Defer, and write down by what the resume will be known.

        :param trigger: its event must carry its ``nonce``, which is set here.
        :param method_name: the method that is called with the context, ``kwargs`` and the ``event``.
        """
        ti: Any = context["ti"]
        if self.execution_timeout is not None and not self.came_back:
            self.log.warning(
                "execution_timeout does nothing while this task is deferred, Airflow counts it in the worker only: "
                "%s bounds the waiting",
                self.ends_waiting,
            )
        trigger.nonce = secrets.token_hex(8)
        deferral = Deferral(
            nonce=trigger.nonce,
            try_number=ti.try_number,
            generation=ti.max_tries,
            method=method_name,
            anew=self._anew,
        )
        RecordStore(context, outlives_success=False).write(deferral)
        made: Any = trigger
        super().defer(trigger=made, method_name=method_name, kwargs=kwargs)

    def defer(self, **_: Any) -> NoReturn:
        """Refuse. :raises TypeError: always; a resume from a deferral that is not on record would not be known."""
        raise TypeError(f"{type(self).__name__} defers by wait_in_triggerer(context, trigger, method_name)")

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on at the method that a deferral of this very try named; else begin anew."""
        self.came_back = True
        if next_method == BEGIN:
            self.handed_over = True
            return self.execute(context)
        kwargs = next_kwargs or {}
        try:
            deferral = RecordStore(context, outlives_success=False).read(Deferral)
        except RecordError as error:
            for line in (str(error), *error.details):
                self.log.error("%s", line)
            deferral = None
        why = why_no_resume(context, deferral, next_method, kwargs)
        if why is None:
            return super().resume_execution(next_method, kwargs, context)
        # No worker has deferred: that trigger was Airflow's own.
        self.handed_over = deferral is None and next_method == _FAIL
        if deferral is not None and _is_of(deferral, context):
            self._anew = deferral.anew + 1
        said = f"Airflow resumed this task at {next_method}, but {why}"
        if self._anew > _TIMES:
            return super().resume_execution(_FAIL, {"error": f"{said}, {self._anew} times now"}, context)
        self.log.warning("%s: it begins anew", said)
        return self.execute(context)


def why_no_resume(context: Context, deferral: Deferral | None, method: str, kwargs: Mapping[str, Any]) -> str | None:
    """
    Return why an execution that Airflow resumed is not the one that deferred, or None where it is.

    :param deferral: the latest on record.
    :param method: that Airflow calls, ``__fail__`` where the trigger failed.
    :param kwargs: with the trigger's ``event``.
    """
    if deferral is None:
        return "no deferral of it is on record"
    if not _is_of(deferral, context):
        return f"the event is of what try {deferral.try_number} waited for, and was left over by a clear"
    if method == _FAIL:
        return None
    if method != deferral.method:
        return f"it deferred to {deferral.method}"
    event = kwargs.get("event")
    if not isinstance(event, Mapping) or event.get("nonce") != deferral.nonce:
        return f"the event is not that of its latest deferral: {str(event)[:80]}"
    return None


def _is_of(deferral: Deferral, context: Context) -> bool:
    ti: Any = context["ti"]
    return (deferral.try_number, deferral.generation) == (ti.try_number, ti.max_tries)
