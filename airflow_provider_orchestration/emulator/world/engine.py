"""The life of an instance: its stages one after another, each step a job of the timers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_orchestration.emulator.go import golang
from airflow_provider_orchestration.emulator.world import activities, resolution
from airflow_provider_orchestration.emulator.world.ledger import LedgerError
from airflow_provider_orchestration.emulator.world.models import Activity, Instance, Run, Stage, Start, Workflow
from airflow_provider_orchestration.emulator.world.state import State
from airflow_provider_orchestration.emulator.world.timers import Timers

RUN_NAMES = {
    "noop": "RunNoop",
    "delay": "RunDelay",
    "wait_event": "RunWaitEvent",
    "update": "RunUpdate",
    "send": "RunSend",
}
LONGEST_PAUSE = 100.0  # seconds between two tries of an activity, before scaling


@dataclass
class Pace:
    """How long things take.

    :param time_scale: what each second of a workflow takes here, in seconds.
    :param stage_delay: seconds, before scaling, from the start of an instance until its first stage listens.
    """

    time_scale: float = 1.0
    stage_delay: float = 0.5

    def of(self, seconds: float) -> int:
        """Nanoseconds that some seconds of a workflow take."""
        return int(seconds * self.time_scale * golang.NANOSECONDS)

    def step(self, part: float) -> int:
        """Nanoseconds of a part of the delay of a stage."""
        return self.of(part * self.stage_delay)


# The steps of an instance: what is to be done next, and which part of a stage's delay passes before it.
STEPS = {
    "row": 0.5,  # the stage's row appears
    "run": 0.5,  # its run begins: it listens
    "activity": 0.1,  # its first, or next, activity is tried
    "finish": 0.2,  # its run ends
    "close": 0.1,  # its row says so
    "next": 0.3,  # the next stage's row appears
    "end": 0.2,  # the instance's row says that it has ended
}


class Engine:
    """Runs instances."""

    def __init__(self, state: State, timers: Timers, pace: Pace) -> None:
        self.state = state
        self.timers = timers
        self.pace = pace
        self.publish: Callable[[str, dict[str, Any]], None] = lambda _type, _payload: None
        self.on_begun: dict[str, Callable[[Instance], None]] = {}
        self.on_shown: dict[str, Callable[[Instance], None]] = {}
        self.on_ended: dict[str, Callable[[Instance], None]] = {}

    # -- starting ---------------------------------------------------------------------------------------------------

    def submit(self, start: Start, begun: Callable[[Instance], None]) -> None:
        """Begin a run, as soon as there is a worker; ``begun`` is told when its caller gets the answer."""
        self.state.starts[start.id] = start
        self.state.note(start)
        self.on_begun[start.id] = begun
        self._when_there_is_a_worker(start)

    def _when_there_is_a_worker(self, start: Start) -> None:
        if self.timers.paused:
            self.timers.add(self.timers.clock(), partial(self._create, start))
        else:
            self._create(start)

    def _create(self, start: Start) -> None:
        if self.state.starts.pop(start.id, None) is None:
            return
        self.state.removed.append(start)
        now = self.timers.clock()
        instance = Instance(start.id, start.workflow_id, start.variables, golang.uuid7(), now)
        self.state.instances[instance.id] = instance
        self._event("STARTED_WORKFLOW", instance)
        self._later(instance, "begin", self.pace.of(0.003))

    def resume(self) -> None:
        """Go on with what was under way when the emulator stopped."""
        for start in list(self.state.starts.values()):
            self._when_there_is_a_worker(start)
        for instance in self.state.instances.values():
            if instance.due is not None:
                self._add_timer(instance)

    # -- steps ------------------------------------------------------------------------------------------------------

    def proceed(self, instance: Instance, step: str) -> None:
        """Take a step after the part of the stage's delay that belongs before it."""
        self._later(instance, "row" if step == "next" else step, self.pace.step(STEPS[step]))

    def _later(self, instance: Instance, phase: str, after: int) -> None:
        instance.phase, instance.due = phase, self.timers.clock() + after
        self.state.note(instance)
        self._add_timer(instance)

    def _add_timer(self, instance: Instance) -> None:
        due = instance.due or self.timers.clock()
        self.timers.add(due, partial(self._step, instance, instance.phase, due))

    def stop(self, instance: Instance, phase: str) -> None:
        """Wait for something that is no matter of time."""
        instance.phase, instance.due = phase, None
        self.state.note(instance)

    def _step(self, instance: Instance, phase: str, due: int) -> None:
        if (instance.phase, instance.due) == (phase, due):
            (self.end if phase == "end" else getattr(self, f"_step_{phase}"))(instance)

    def _workflow(self, instance: Instance) -> Workflow:
        return self.state.workflows[instance.workflow_id]

    def _step_begin(self, instance: Instance) -> None:
        instance.begun = True
        self.proceed(instance, "row" if self._workflow(instance).stages else "end")
        self._tell(self.on_begun, instance)

    def _tell(self, listeners: dict[str, Callable[[Instance], None]], instance: Instance) -> None:
        listener = listeners.pop(instance.id, None)
        if listener is not None:
            listener(instance)

    def _step_row(self, instance: Instance) -> None:
        instance.stages.append(Stage(len(instance.stages), self.timers.clock()))
        self._event("STARTED_WORKFLOW_STAGE", instance, number=len(instance.stages) - 1)
        self.proceed(instance, "run")
        self._tell(self.on_shown, instance)

    def _step_run(self, instance: Instance) -> None:
        stage = instance.stages[-1]
        raw = (self._workflow(instance).stages or [])[stage.number]
        ((kind, _),) = raw.items()
        try:
            resolved = resolution.resolve(raw, instance.variables)
            resolution.validate(kind, resolved)
        except resolution.SchemaError as error:
            instance.failure = str(error)
            self.proceed(instance, "close")
            return
        now = self.timers.clock()
        stage.run = Run(RUN_NAMES[kind], resolution.as_input(kind, resolved), now)
        if kind == "noop":
            self.proceed(instance, "finish")
        elif kind == "delay":
            duration = resolved["until"] - now if resolved["duration"] is None else resolved["duration"]
            self._later(instance, "finish", self.pace.of(max(duration, 0) / golang.NANOSECONDS))
        elif kind == "wait_event":
            self.stop(instance, "wait")
        else:
            self._begin_activities(instance, stage.run, kind, resolved)

    def _begin_activities(self, instance: Instance, run: Run, kind: str, resolved: dict[str, Any]) -> None:
        try:
            run.todo = activities.plan(kind, resolved)
        except activities.StageError as error:
            instance.failure = run.error = str(error)
            self.proceed(instance, "finish")
        else:
            self._next_activity(instance, run)

    def _next_activity(self, instance: Instance, run: Run) -> None:
        request = run.todo.pop(0)
        now = self.timers.clock()
        run.activities.append(Activity(request["name"], activities.as_input(request), request, now))
        self.proceed(instance, "activity")

    def _step_activity(self, instance: Instance) -> None:
        run = _run_of(instance)
        activity = run.activities[-1]
        now = self.timers.clock()
        try:
            activity.output = activities.perform(activity.request, self.state.ledgers, now)
        except LedgerError as error:
            if not error.final:
                self._try_again(instance, activity, str(error))
                return
            activity.error = instance.failure = str(error)
            run.error = "activity error"
            run.todo.clear()
        activity.terminated_at = now
        if run.todo:
            self._next_activity(instance, run)
        else:
            self.proceed(instance, "finish")

    def _try_again(self, instance: Instance, activity: Activity, failure: str) -> None:
        pause = self.pace.of(min(2.0 ** min(activity.attempt - 1, 10), LONGEST_PAUSE))
        activity.attempt += 1
        activity.last_failure = failure
        self._later(instance, "activity", pause)
        activity.next_at = instance.due

    def _step_finish(self, instance: Instance) -> None:
        _run_of(instance).terminated_at = self.timers.clock()
        self.proceed(instance, "close")

    def _step_close(self, instance: Instance) -> None:
        self.close_stage(instance)
        if instance.aborted:
            instance.failure = "canceled"
        stages = self._workflow(instance).stages or []
        self.proceed(instance, "end" if instance.failure is not None or len(instance.stages) == len(stages) else "next")

    def close_stage(self, instance: Instance) -> None:
        """Write into the stage's row that it has ended, and how."""
        stage = instance.stages[-1]
        stage.terminated_at, stage.error = self.timers.clock(), instance.failure
        if stage.error is None:
            self._event("SUCCEEDED_WORKFLOW_STAGE", instance, number=stage.number)
        else:
            self._event("FAILED_WORKFLOW_STAGE", instance, number=stage.number, error=stage.error)

    def end(self, instance: Instance) -> None:
        """Write into the instance's row that it has ended, and how."""
        instance.terminated_at, instance.error = self.timers.clock(), instance.failure or ""
        self.stop(instance, "ended")
        self.state.rewrite(instance)
        self._tell(self.on_shown, instance)
        self._tell(self.on_ended, instance)
        if instance.error:
            self._event("FAILED_WORKFLOW", instance, error=instance.error)
        else:
            self._event("SUCCEEDED_WORKFLOW", instance)

    def _event(self, kind: str, instance: Instance, **more: Any) -> None:
        self.publish(kind, {"id": instance.workflow_id, "instanceID": instance.id, **more})


def _run_of(instance: Instance) -> Run:
    run = instance.stages[-1].run
    if run is None:
        raise LookupError(f"the last stage of {instance.id} does not run")
    return run
