"""Looking at one instance again and again: what a look is, and what is made of it. The same in worker and triggerer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from airflow_provider_orchestration.exceptions import AuthenticationError, FlowsApiError, FormanceError, NotFoundError
from airflow_provider_orchestration.run.definition import stages_of
from airflow_provider_orchestration.run.judge.outcome import judge, sign_of_death
from airflow_provider_orchestration.run.judge.reading import whole_instance
from airflow_provider_orchestration.run.judge.stages import current_stage, failing_attempt, may_be_stuck, stage_label
from airflow_provider_orchestration.run.wait.progress import Progress
from airflow_provider_orchestration.run.words import tell

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Activity, Instance, StageHistory


@dataclass(frozen=True)
class Look:
    """
    One look: the instance, or why it could not be had.

    Of a list it is only known whether the instance is among those that run (``listed``) or have ended (``terminated``).
    """

    instance: Instance | None = None
    listed: bool = False
    terminated: bool = False
    history: Sequence[StageHistory] | None = None
    activities: Sequence[Activity] | None = None
    error: FormanceError | None = None


def take_look(client: FlowsClient, instance_id: str, *, with_history: bool, retries: int = 0) -> Look:
    """
    Read one instance; a failure is part of the look, not an exception.

    The history is read before the instance: an instance that runs *after* its history ended with an error is dead,
    the other way round it may just be ending.
    """
    history: Sequence[StageHistory] | None = None
    activities: Sequence[Activity] | None = None
    try:
        if with_history:
            try:
                history = client.get_instance_history(instance_id, retries=retries)
            except NotFoundError:
                history = None  # not begun yet, or forgotten by the engine: tells nothing
        instance = whole_instance(client, instance_id, retries=retries)
        stage = current_stage(instance)
        if with_history and stage is not None and may_be_stuck(instance, stage):
            try:
                activities = client.get_instance_stage_history(instance_id, stage, retries=retries)
            except NotFoundError:
                activities = None
    except FormanceError as error:
        return Look(error=error)
    return Look(instance=instance, history=history, activities=activities)


def look_unless_refused(client: FlowsClient, instance_id: str, *, with_history: bool) -> Look:
    """Take one look without retries. :raises AuthenticationError: the client itself is refused, not this look."""
    look = take_look(client, instance_id, with_history=with_history)
    if isinstance(look.error, AuthenticationError):
        raise look.error
    return look


@dataclass(frozen=True)
class Verdict:
    """
    Why the looking ends. As a dict it is the payload of the trigger's one event.

    Kinds: ``ended`` (Flows says so), ``dead`` (ended in the engine only), ``stuck`` (``fail_after_attempts`` reached),
    ``deadline``, ``poll_failed`` (no look succeeded for ``poll_failure_timeout``), ``not_found``; of a watch for an
    event's stage ``ready`` (it waits) and ``never`` (none will).
    """

    kinds: ClassVar = ("ended", "dead", "stuck", "deadline", "poll_failed", "not_found", "ready", "never")

    verdict: str
    instance_id: str
    stage: int | None = None
    error: str | None = None

    def as_event(self) -> dict[str, Any]:
        """Return the payload of the event."""
        return asdict(self)

    @classmethod
    def from_event(cls, event: object, instance_id: str) -> Verdict:
        """
        Return the verdict of an event.

        :raises FormanceError: there is no event, it is of an unknown kind, or of another instance: no success.
        """
        if not isinstance(event, Mapping) or event.get("verdict") not in cls.kinds:
            raise FormanceError(
                f"the trigger that waited for instance {instance_id} came back with {event!r}, which says nothing"
            )
        if event.get("instance_id") != instance_id:
            raise FormanceError(f"the trigger's event {event!r} is of another instance than {instance_id}")
        return cls(str(event["verdict"]), instance_id, event.get("stage"), event.get("error"))


class Limits(TypedDict, total=False):
    """What ends the looking early, see :class:`Watch`."""

    deadline: float | None
    poll_failure_timeout: float | None
    fail_after_attempts: int | None
    not_found_after: int | None


@dataclass(slots=True)
class Watch:
    """
    Makes log lines and, in the end, one verdict of the looks at one instance.

    :param deadline: epoch seconds after which the looking ends; None never.
    :param poll_failure_timeout: seconds without one successful look after which the looking ends; None never.
    :param fail_after_attempts: failed attempts of one stage (Flows repeats it without end) after which it ends.
    :param not_found_after: consecutive answers "no such instance" after which it ends; None where the server itself
        gave the id, so that the answer can only be a passing one.
    """

    instance_id: str
    log: logging.Logger | Any
    deadline: float | None = None
    poll_failure_timeout: float | None = None
    fail_after_attempts: int | None = None
    not_found_after: int | None = None
    clock: Callable[[], float] = time.time
    _progress: Progress = field(default_factory=Progress)
    _failing_since: float | None = None
    _not_found: int = 0
    _stage: int | None = None
    _next_history: float = 0.0
    _history_pause: float = 0.0
    _death_seen: float | None = None

    #: Whether a list does not do, and every look must be at the instance itself.
    reads_always: ClassVar[bool] = False
    FIRST_HISTORY: ClassVar[float] = 3.0
    LONGEST_HISTORY_PAUSE: ClassVar[float] = 300.0
    #: Seconds between the two looks that must both show the sign of death: an ordinary failure shows it for a moment.
    DEATH_PAUSE: ClassVar[float] = 5.0

    def __post_init__(self) -> None:
        self._restart_histories(self.clock())

    @property
    def wants_history(self) -> bool:
        """Whether the next look should read the histories: now and then, ever less often while a stage lasts."""
        return self.clock() >= self._next_history

    def past_deadline(self) -> Verdict | None:
        """Return the ``deadline`` verdict once it has passed."""
        if self.deadline is not None and self.clock() >= self.deadline:
            return Verdict("deadline", self.instance_id)
        return None

    def take(self, look: Look) -> Verdict | None:
        """Tell in the log what a look shows, and return a verdict if the looking is over."""
        if look.error is not None:
            return self._failed(look.error) or self.past_deadline()
        if self._failing_since is not None:
            self.log.info("instance %s can be read again", self.instance_id)
        self._failing_since, self._not_found = None, 0
        if look.terminated:
            return Verdict("ended", self.instance_id)
        if look.instance is None:
            return self.past_deadline()
        return self._judge(look.instance, look) or self.past_deadline()

    def _judge(self, instance: Instance, look: Look) -> Verdict | None:
        for line in self._progress.lines(instance):
            tell(self.log.info, line)
        if judge(instance).ended:
            return Verdict("ended", self.instance_id)
        now = self.clock()
        stage = current_stage(instance)
        if stage != self._stage:
            self._stage = stage
            self._restart_histories(now)
        elif self.wants_history:
            self._history_pause = min(self._history_pause * 2, self.LONGEST_HISTORY_PAUSE)
            self._next_history = now + self._history_pause
        return self._dead(instance, look, now) or self._stuck(instance, look, now)

    def _restart_histories(self, now: float) -> None:
        self._history_pause = self.FIRST_HISTORY
        self._next_history = now + self._history_pause

    def _dead(self, instance: Instance, look: Look, now: float) -> Verdict | None:
        if look.history is None:
            return None
        death = sign_of_death(instance, look.history)
        if death is None:
            self._death_seen = None
            return None
        if self._death_seen is None:
            self._death_seen = now
            self.log.warning(
                "the history ended with %r, though the instance is said to run; looking again", death.error
            )
        if now - self._death_seen >= self.DEATH_PAUSE:
            return Verdict("dead", self.instance_id, death.stage, death.error)
        self._next_history = self._death_seen + self.DEATH_PAUSE
        return None

    def _stuck(self, instance: Instance, look: Look, now: float) -> Verdict | None:
        if look.activities is None or self._stage is None:
            return None
        attempt = failing_attempt(self._stage, look.activities)
        if attempt is None:
            return None
        if line := self._progress.attempt_line(attempt, stages_of(instance.workflow)):
            tell(self.log.warning, line)
        if attempt.next_try is not None:
            self._next_history = max(now, attempt.next_try.timestamp()) + 1.0
        if self.fail_after_attempts is not None and attempt.number >= self.fail_after_attempts:
            return Verdict("stuck", self.instance_id, attempt.stage, attempt.failure)
        return None

    def _failed(self, error: FormanceError) -> Verdict | None:
        now = self.clock()
        if isinstance(error, NotFoundError):
            self._not_found += 1
            if self.not_found_after is not None and self._not_found >= self.not_found_after:
                return Verdict("not_found", self.instance_id, error=str(error))
        else:
            self._not_found = 0
        if self._failing_since is None:
            self._failing_since = now
            text = f"instance {self.instance_id} cannot be read (the run is not touched by that): {error}"
            tell(self.log.warning, text)
        elif isinstance(error, FlowsApiError):
            self.log.debug("still not: %s", error)
        if self.poll_failure_timeout is not None and now - self._failing_since >= self.poll_failure_timeout:
            return Verdict("poll_failed", self.instance_id, error=str(error))
        return None


def describe_stage(instance: Instance | None, stage: int | None) -> str:
    """Return the label of a stage for a message, e.g. ``stage 1/3 send``."""
    return stage_label(stage, stages_of(instance.workflow if instance else None))
