"""What reaches a running instance from outside: events, aborts, and what is done to the engine behind Flows."""

from __future__ import annotations

from airflow_provider_orchestration.emulator.world.engine import Engine
from airflow_provider_orchestration.emulator.world.models import Instance


class SignalError(Exception):
    """What the server answers with 500; the message is its text."""


class Signals:
    """Reaches the instances of an engine.

    :param abort: ``ignore``, as Flows 2.6 does; ``honour``: an aborted instance ends as failed, "canceled"; or
        ``next``, as the next server does: one that waits for an event ends so when its event has come.
    """

    def __init__(self, engine: Engine, abort: str = "ignore") -> None:
        self.engine = engine
        self.abort_mode = abort

    def send_event(self, instance_id: str, name: str) -> None:
        """Give an event to the stage that is the last to have a row; one that does not wait for it is not told.

        :raises SignalError: there is no such stage, it does not listen yet, or not any more.
        """
        instance = self.engine.state.instances.get(instance_id)
        if instance is None or not instance.stages:
            raise SignalError("retrieving workflow: sql: no rows in result set")
        stage = instance.stages[-1]
        if stage.run is None or instance.purged:
            raise SignalError(f"sending signal to server: workflow not found for ID: {instance_id}-{stage.number}")
        if stage.run.terminated_at is not None or instance.dead:
            raise SignalError("sending signal to server: workflow execution already completed")
        if instance.phase == "wait" and stage.run.input["event"] == name:
            self.engine.proceed(instance, "finish")

    def abort(self, instance_id: str) -> None:
        """Do nothing, or end the instance, at once or after the event that it waits for.

        :raises SignalError: there is no such instance, or the engine has forgotten it.
        """
        instance = self.engine.state.instances.get(instance_id)
        if instance is None:
            raise SignalError("retrieving workflow execution: sql: no rows in result set")
        if instance.purged:
            raise SignalError(f"workflow not found for ID: {instance_id}")
        if self.abort_mode == "ignore" or instance.terminated or instance.dead:
            return
        if self.abort_mode == "next" and instance.phase == "wait":
            instance.aborted = True
            self.engine.state.note(instance)
        else:
            self._cancel_run(instance)
            self._forget_attempts(instance)
            instance.failure = "canceled"
            if instance.stages and instance.stages[-1].terminated_at is None:
                self.engine.close_stage(instance)
            self.engine.end(instance)

    def cancel_in_engine(self, instance: Instance) -> None:
        """What an operator does in the engine behind Flows: the run ends, and nobody tells the database."""
        if instance.phase != "ended":
            self._cancel_run(instance)
            self._die(instance, "cancelled")

    def terminate_in_engine(self, instance: Instance) -> None:
        """As ``cancel_in_engine``, without a word in the history."""
        if instance.phase != "ended":
            self._die(instance, "terminated")

    def purge_history(self, instance: Instance) -> None:
        """The engine forgets the run; one that was still at work ends with that."""
        if instance.phase != "ended":
            self._die(instance, "purged")
        instance.purged = True
        self.engine.state.note(instance)

    def _cancel_run(self, instance: Instance) -> None:
        run = instance.stages[-1].run if instance.stages else None
        if run is not None and run.terminated_at is None:
            run.error, run.terminated_at = "canceled", self.engine.timers.clock()

    @staticmethod
    def _forget_attempts(instance: Instance) -> None:
        """What was tried again and again is shown as if it had been tried once."""
        run = instance.stages[-1].run if instance.stages else None
        for activity in run.activities if run is not None else ():
            if activity.terminated_at is None:
                activity.attempt, activity.last_failure, activity.next_at = 1, "", None

    def _die(self, instance: Instance, how: str) -> None:
        instance.dead = instance.dead or how
        self.engine.stop(instance, "dead")
