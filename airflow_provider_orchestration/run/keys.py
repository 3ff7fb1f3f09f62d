"""Whose a run is: the run key, readable in the history of its instance, and the digest of what was asked for."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_orchestration.exceptions import InvalidInputError

#: Characters that a ``run_key_name`` may have.
LONGEST_NAME = 256
#: Bytes of a digest that tells each variable; of more than that all are told as one.
_LARGEST_DIGEST = 8_000
#: What follows the name in a key: a nonce, and the digest of what was asked for.
_SUFFIX = r"@[0-9a-f]{16}(?:\.(?P<digest>[0-9a-f]{16}))?"
_KEY = re.compile(
    r"(?P<dag_id>[\w.-]+)/(?P<run_id>.+?)/(?P<task_id>[\w.-]+)(?:\[(?P<map_index>\d+)\])?(?::(?P<name>.*?))?" + _SUFFIX,
    re.DOTALL,
)


def position_name(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return what the run keys of a task begin with, ``dag_id/run_id/task_id[map_index]``; index -1: not mapped."""
    return f"{dag_id}/{run_id}/{task_id}" + (f"[{map_index}]" if map_index >= 0 else "")


@dataclass(frozen=True)
class RunKey:
    """What a run key says."""

    dag_id: str
    run_id: str
    task_id: str
    #: -1 for a task that is not mapped.
    map_index: int
    #: The business identity (``run_key_name``), if it was given one.
    name: str | None
    #: Of what was asked for, see :func:`digest_of_all`; None in a key that was made without it.
    digest: str | None

    @property
    def position(self) -> str:
        """The position of its task, as :func:`position_name` gives it."""
        return position_name(self.dag_id, self.run_id, self.task_id, self.map_index)


def new_run_key(position: str, name: str | None, digest: str) -> str:
    """
    Return a key that no other submission has, of this deployment or of another one on the same stack.

    It carries the position as well as the name: a name can be shared, or a template can leave it the same for all.

    :param position: from :func:`position_name`.
    :param name: a business identity (an invoice number), see :func:`check_name`.
    :param digest: of what is asked for, from :func:`digest_of_all`.
    """
    return f"{position}{f':{name}' if name else ''}@{secrets.token_hex(8)}.{digest}"


def read_run_key(run_key: str) -> RunKey:
    """Return what a run key says. :raises InvalidInputError: it is none."""
    found = _KEY.fullmatch(run_key)
    if found is None:
        raise InvalidInputError(f"{run_key!r} is not a run key")
    index = -1 if found["map_index"] is None else int(found["map_index"])
    return RunKey(found["dag_id"], found["run_id"], found["task_id"], index, found["name"], found["digest"])


def is_of_position(run_key: str, position: str) -> bool:
    """Tell whether a run key is of the task at a position; not by parsing it, for a run id can hold any sign."""
    return run_key.startswith((f"{position}@", f"{position}:"))


def run_keys_in(texts: Iterable[str] | None) -> list[str]:
    """
    Return the run keys among the texts that a first stage was given (None: its history cannot be read).

    Each is the beginning of its text: with more at its left it may be the end of another one.
    """
    return sorted(found[0] for text in texts or () if (found := _KEY.match(text)))


def mentions_position(texts: Iterable[str], position: str) -> bool:
    """Tell whether what looks like a run key of a task stands anywhere in one of the texts."""
    own = re.compile(re.escape(position) + r"(?::.*?)?" + _SUFFIX, re.DOTALL)
    return any(own.search(text) for text in texts)


def check_name(name: str | None, *, wanted: bool) -> str | None:
    """
    Return ``run_key_name`` as it was rendered, if it names something.

    :param wanted: whether the DAG gives one: then nothing, or ``None``, is a template that found nothing.
    :raises InvalidInputError: it renders to nothing, so it would name no invoice, or the same for all.
    """
    if name is None and not wanted:
        return None
    if name in (None, "", "None"):
        raise InvalidInputError(
            f"run_key_name is {name!r}: the template that gives it found nothing; nothing was sent",
            details=("give each run the name of what it pays, e.g. an invoice number, or leave run_key_name out",),
        )
    if name is not None and len(name) > LONGEST_NAME:
        raise InvalidInputError(
            f"run_key_name has {len(name)} characters, {name[:40]!r}..., give at most {LONGEST_NAME}; nothing was sent"
        )
    return name


def digest_of(workflow: str, variables: Mapping[str, Any], name: str | None = None) -> dict[str, str]:
    """
    Return a short hash of the workflow, of the name and of each variable, so that what differs can be named.

    Of very many variables all are hashed as one: a record is bounded.
    """
    each = dict(sorted((f"variables.{_text(key)}", _hash(value)) for key, value in variables.items()))
    if len(json.dumps(each)) > _LARGEST_DIGEST:
        each = {f"variables (all {len(each)})": _hash(json.dumps(each))}
    return {"workflow": _hash(workflow), "run_key_name": _hash(name or ""), **each}


#: Of an adopted run only its key is known: the hash of all in one.
_ALL = "workflow or variables"


def digest_of_key(key: RunKey) -> dict[str, str]:
    """Return what a run key proves of what was asked for; nothing, where it is of before there was a digest in it."""
    return {} if key.digest is None else {"run_key_name": _hash(key.name or ""), _ALL: key.digest}


def digest_of_all(digest: Mapping[str, str]) -> str:
    """Return one short hash of workflow and variables, for the run key; the name stands beside it in the key."""
    return _hash(json.dumps({key: value for key, value in sorted(digest.items()) if key != "run_key_name"}))


def differing(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Return the names of what differs between two digests; none where the old one is empty, so not known."""
    if not old:
        return []
    if _ALL in old:
        new = {"run_key_name": new["run_key_name"], _ALL: digest_of_all(new)}
    names = old.keys() | new.keys()
    if "run_key_name" not in old:  # an older record
        names -= {"run_key_name"}
    return sorted(name for name in names if old.get(name) != new.get(name))


def _hash(value: Any) -> str:
    return hashlib.sha256(_text(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _text(value: Any) -> str:
    # Of anything, as the variables of a later execution are compared before they are checked.
    try:
        return value if isinstance(value, str) else str(value)
    except ValueError:  # a whole number of thousands of digits
        return f"a {type(value).__name__} that cannot be told"
