"""
Finding the instance of a submission whose answer was lost, by its run key.

Nothing found is never proof that nothing was submitted: a POST that timed out can still run minutes later
(flows-api, "What bites", 2).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_orchestration.exceptions import (
    CONCERN_ALL,
    FlowsApiError,
    FormanceError,
    IncompleteListError,
    NotFoundError,
)
from airflow_provider_orchestration.run.definition import strings_in
from airflow_provider_orchestration.run.words import wrapped

if TYPE_CHECKING:
    import logging

    from airflow_provider_orchestration.api.client import FlowsClient
    from airflow_provider_orchestration.api.models import Instance

#: Seconds by which the clocks of a stack's parts may differ.
CLOCK_MARGIN = 30.0
#: Seconds after which a history that is not found is one that the engine has forgotten, not one that has yet to begin.
HISTORY_BEGINS_WITHIN = 600.0
#: Seconds that a look may take where less is left: the last one is to see something, too.
SHORTEST_LOOK = 5.0
#: Seconds of ``Retry-After`` that are kept at the most.
LONGEST_RETRY_AFTER = 300.0


def _is_since(created: float, moment: float) -> bool:
    """Tell whether something was created after a moment, both epoch seconds, as far as a stack's clocks agree."""
    return created >= moment - CLOCK_MARGIN


@dataclass(frozen=True)
class Candidate:
    """An instance that could be the one: created since the intent."""

    instance_id: str
    created_at: str
    terminated: bool
    #: The strings that its first stage was given, or None while its history does not show them.
    texts: frozenset[str] | None
    #: Whether the engine has forgotten its history, so that no later look will show it.
    forgotten: bool = False

    @property
    def created(self) -> float:
        """The epoch second of its creation."""
        return datetime.fromisoformat(self.created_at).timestamp()

    def is_since(self, moment: float) -> bool:
        """Whether it was created after an epoch second, as far as the clocks of a stack agree."""
        return _is_since(self.created, moment)

    def has_key(self, run_key: str) -> bool:
        """Whether the first stage was given this run key (alone or within a longer string)."""
        return any(run_key in text for text in self.texts or ())

    def __str__(self) -> str:
        created = datetime.fromtimestamp(self.created, UTC)
        unread = ", no history" if self.texts is None else ""
        state = "ended" if self.terminated else "running"
        return f"{self.instance_id} of {created:%Y-%m-%d %H:%M:%S}, {state}{unread}"


@dataclass(frozen=True)
class Scanned:
    """
    What one scan saw: the instances created since a moment, oldest first, or why they could not be read.

    Where the list of them is not whole, there are both: some, and the reason.
    """

    candidates: Sequence[Candidate] = ()
    error: str | None = None
    #: Seconds for which the server wants to be left alone.
    retry_after: float = 0.0
    #: Whether they were read, but not whole.
    incomplete: bool = False


def not_scanned(error: Exception) -> Scanned:
    """Return what a look that failed has seen."""
    wanted = getattr(error, "retry_after", None) or 0.0
    return Scanned(error=str(error), retry_after=min(wanted, LONGEST_RETRY_AFTER))


@dataclass
class KeyScan:
    """Reads the histories of a workflow's instances, each once, however often and for however many keys it looks."""

    _texts: dict[str, frozenset[str]] = field(default_factory=dict)

    def scan(
        self,
        client: FlowsClient,
        workflow_id: str,
        since: float,
        *,
        retries: int | None = 0,
        until: float | None = None,
    ) -> Scanned:
        """
        Look at the workflow's instances created since an epoch second of the server's clock.

        Instances of a deleted workflow are not listed by the server. A history that cannot be read leaves its candidate
        undecided; where the server turns the client away, no more are asked for.

        :param until: epoch second at which the reading ends, but for the 5 s that a look may always take.
        """
        ends = None if until is None else max(until, time.time() + SHORTEST_LOOK)
        incomplete: str | None = None
        try:
            instances = self._list(client, workflow_id, since, retries, ends)
        except IncompleteListError as error:
            instances, incomplete = error.items, str(error)
        except FormanceError as error:
            return not_scanned(error)
        candidates: list[Candidate] = []
        refused: FlowsApiError | None = None
        for instance in instances:
            # createdAt is when the server's worker began, never before the POST: a lower bound.
            if not _is_since(instance.created_at.timestamp(), since):
                continue
            ask = refused is None and (ends is None or time.time() < ends)
            candidate, problem = self._look(client, instance, retries, _limits(client, ends), ask=ask)
            candidates.append(candidate)
            if isinstance(problem, CONCERN_ALL):
                refused = problem
        wanted = not_scanned(refused).retry_after if refused else 0.0
        return Scanned(candidates, incomplete, wanted, incomplete=incomplete is not None)

    def _list(
        self, client: FlowsClient, workflow_id: str, since: float, retries: int | None, ends: float | None
    ) -> Sequence[Instance]:
        """Return the workflow's instances; those since the moment for certain where there is all the time for it."""
        from airflow_provider_orchestration.api import lists, models

        request: dict[str, Any] = {
            "ids": {"workflow_id": workflow_id},
            "query": {"workflowID": workflow_id},
            "retries": retries,
            "timeout": _limits(client, ends),
        }
        if ends is not None:
            # It is looked again and again, and what is not found proves nothing.
            return client.lists.read(lists.INSTANCES, models.Instance, ends=ends, **request).items
        return client.lists.read_surely(
            lists.INSTANCES,
            models.Instance,
            concerns=lambda one: _is_since(one.created_at.timestamp(), since),
            **request,
        ).items

    def candidate(self, client: FlowsClient, instance: Instance, *, retries: int | None = 0) -> Candidate:
        """Look at the history of one instance; one that cannot be read leaves it undecided."""
        return self._look(client, instance, retries, None, ask=True)[0]

    def _look(
        self,
        client: FlowsClient,
        instance: Instance,
        retries: int | None,
        timeout: tuple[float, float] | None,
        *,
        ask: bool,
    ) -> tuple[Candidate, FlowsApiError | None]:
        texts, forgotten = self._texts.get(instance.id), False
        problem: FlowsApiError | None = None
        if texts is None and ask:
            try:
                texts = self._first_stage(client, instance, retries, timeout)
            except FlowsApiError as error:
                problem = error
                age = client.server_now() - instance.created_at.timestamp()
                forgotten = isinstance(error, NotFoundError) and age > HISTORY_BEGINS_WITHIN
        created_at = instance.created_at.isoformat()
        return Candidate(instance.id, created_at, instance.terminated, texts, forgotten), problem

    def _first_stage(
        self, client: FlowsClient, instance: Instance, retries: int | None, timeout: tuple[float, float] | None
    ) -> frozenset[str] | None:
        if instance.id not in self._texts:
            history = client.get_instance_history(instance.id, retries=retries, timeout=timeout)
            if not history and not instance.terminated:
                return None
            self._texts[instance.id] = frozenset(strings_in(history[0].input)) if history else frozenset()
        return self._texts[instance.id]


def _limits(client: FlowsClient, ends: float | None) -> tuple[float, float] | None:
    """Return the time limits of a read that is to end at this epoch second."""
    if ends is None:
        return None
    left = max(0.1, ends - time.time())
    return min(client.settings.connect_timeout, left), min(client.settings.read_timeout, left)


@dataclass
class Search:
    """
    The search for one run key, look by look.

    :param since: epoch seconds of the server's clock; nothing created before it can be the one.
    """

    workflow_id: str
    run_key: str
    since: float
    log: logging.Logger | Any
    candidates: Sequence[Candidate] = ()
    #: Why the latest look could not be had, None if it could.
    trouble: str | None = None
    #: Seconds for which the server wants to be left alone.
    retry_after: float = 0.0
    _keys: KeyScan = field(default_factory=KeyScan)
    _told: tuple[str, ...] = ()

    def look(self, client: FlowsClient, until: float) -> str | None:
        """Look once, until an epoch second, and return the instance that bears the key, or None."""
        return self.take(self._keys.scan(client, self.workflow_id, self.since, until=until))

    def take(self, scanned: Scanned) -> str | None:
        """Return the instance that bears the key, or None, and tell what was seen. A look that failed is no answer."""
        self.trouble, self.retry_after = scanned.error, scanned.retry_after
        bearing = [candidate for candidate in scanned.candidates if candidate.has_key(self.run_key)]
        if scanned.error is not None and not bearing:
            self._tell(f"looking for run key {self.run_key} failed:", *wrapped(scanned.error))
            return None
        self.candidates = scanned.candidates
        if bearing:
            found = next((candidate for candidate in bearing if not candidate.terminated), bearing[0])
            self.log.info("found: instance %s bears run key %s", found.instance_id, self.run_key)
            if len(bearing) > 1:
                # Not ours: each submission has a key of its own.
                others = [candidate for candidate in bearing if candidate is not found]
                for line in (
                    f"{len(bearing)} instances bear this run key: something on the way to Flows repeated the request",
                    f"THE MONEY MAY MOVE AS OFTEN: this task follows {found.instance_id}",
                    *candidate_lines("look at the others:", others),
                ):
                    self.log.error("%s", line)
            return found.instance_id
        since = f"none of the instances of workflow {self.workflow_id} created since the submission bears it:"
        self._tell(f"looking for run key {self.run_key}", *candidate_lines(since, self.candidates))
        return None

    def _tell(self, *lines: str) -> None:
        if lines != self._told:
            self._told = lines
            for line in lines:
                self.log.warning("%s", line)


def candidate_lines(head: str, candidates: Sequence[Candidate], at_most: int = 10) -> list[str]:
    """Return the candidates for a log, a line each, after a line that says what they are."""
    if not candidates:
        return [f"{head} none"]
    more = [f"  and {len(candidates) - at_most} more"] if len(candidates) > at_most else []
    return [head, *(f"  {candidate}" for candidate in candidates[:at_most]), *more]
