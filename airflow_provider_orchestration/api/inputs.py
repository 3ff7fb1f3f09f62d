"""Checks of arguments: each answers what is to be sent, or raises `InvalidInputError` before anything is."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from airflow_provider_orchestration.exceptions import InvalidInputError


def check_text(name: str, value: object) -> str:
    """Return the value if it is a text that is not empty."""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is {value!r}, a {type(value).__name__}; give a str")
    if not value:
        raise InvalidInputError(f"{name} is empty; give a text")
    return value


def check_id(name: str, value: object) -> str:
    """Return the value if it can be an id: any text but an empty one, and none that would change the path."""
    text = check_text(name, value)
    if text == "None":
        raise InvalidInputError(
            f"{name} is 'None': the template that gives it found nothing, e.g. an XCom that was not pushed yet; let a "
            "task that pushes it, or a sensor that waits for it, come first"
        )
    if text.strip() != text or text in (".", ".."):
        raise InvalidInputError(f"{name} is {value!r}, which is no id; give one as Flows answers it")
    return text


def quote_id(text: str) -> str:
    """Return an id as it stands in a path: no character of it can end a segment or begin a query."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the id {text!r} cannot be sent: {error.reason}") from error


def check_texts(name: str, value: object) -> dict[str, str] | None:
    """Return the value if it is None or maps texts to texts (amounts, too: money is never a float)."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"{name} is a {type(value).__name__}; give a mapping of str to str")
    for key, item in value.items():
        if not isinstance(key, str):
            raise InvalidInputError(f"{name} has the key {key!r}, a {type(key).__name__}; give str")
        if not isinstance(item, str):
            raise InvalidInputError(f"{name}[{key!r}] is {item!r}, a {type(item).__name__}; give a str")
    return dict(value)


def check_stage_number(number: object) -> str:
    """Return the number of a stage as it stands in a path."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise InvalidInputError(f"number is {number!r}; give the number of a stage, an int from 0")
    return str(number)


def check_retries(retries: object) -> int:
    """Return how many further tries there may be."""
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise InvalidInputError(f"retries is {retries!r}; give how many further tries there may be, an int from 0")
    return retries


def check_timeout(timeout: object) -> tuple[float, float]:
    """Return the seconds to connect and to read."""
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    numbers = [part for part in pair if isinstance(part, (int, float)) and not isinstance(part, bool) and part > 0]
    if len(pair) != 2 or len(numbers) != 2:
        raise InvalidInputError(f"timeout is {timeout!r}; give seconds above 0, or a pair of them: connect and read")
    return numbers[0], numbers[1]
