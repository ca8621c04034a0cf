"""Tables of a run file: every key is known, of the right type and told by its place when wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from powercal.errors import ConfigError, PowercalError, unknown_name

T = TypeVar("T")


class Table:
    """One table of a run file, whose keys have been checked.

    Parameters
    ----------
    file, name : str
        The run file and the table, for messages.
    content : object
        What TOML gave.
    known : iterable of str
        The keys that the table may have.

    Raises
    ------
    ConfigError
        It is no table, or it has a key that is not known.
    """

    def __init__(self, file: str, name: str, content: Any, known: Iterable[str]) -> None:
        self.file, self.name = file, name
        if not isinstance(content, dict):
            raise ConfigError(f"{file}: {name} is no table; write [{name}] and its keys below")
        self.content: dict[str, Any] = content
        keys = tuple(known)
        for key in content:
            if key not in keys:
                place = f"key in [{name}] of {file}" if name else f"table or key in {file}"
                raise ConfigError(f"{unknown_name(place, key, keys)}")

    def error(self, key: str, sentence: str) -> ConfigError:
        """Return an error that says where it is."""
        place = f"[{self.name}] {key}" if self.name else key
        return ConfigError(f"{self.file}, {place}: {sentence}")

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def text(self, key: str, choices: Iterable[str] = ()) -> str | None:
        """Return a text, one of the choices if there are any; None where it is not given."""
        value = self.content.get(key)
        if value is None:
            return None
        allowed = tuple(choices)
        if not isinstance(value, str) or not value or (allowed and value not in allowed):
            wanted = f"one of {', '.join(allowed)}" if allowed else "a text"
            raise self.error(key, f"{_kind(value)} {_shown(value)}is not {wanted}; write it so")
        return value

    def flag(self, key: str) -> bool:
        """Return a truth value; False where it is not given."""
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.error(key, f"{_kind(value)} {_shown(value)}is neither true nor false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return an array of texts; empty where it is not given."""
        value = self.content.get(key, [])
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(key, f'{_kind(value)} is not an array of texts; write ["a", "b"]')
        return tuple(value)

    def count(self, key: str) -> int | None:
        """Return a whole number that is not negative."""
        value = self.content.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.error(key, f"{_kind(value)} {_shown(value)}is not a whole number ≥ 0")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Return a table within the table; empty where it is not given."""
        value = self.content.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"{_kind(value)} is not a table; write {{ name = value }}")
        return value

    def spelled(self, key: str, read: Callable[[str], T]) -> T | None:
        """Read a quantity: a number in SI, a text with a unit, or a pair [value, uncertainty]."""
        value = self.content.get(key)
        return None if value is None else self.read(key, lambda: read(self.spelling(key, value)))

    def spellings(self, key: str) -> dict[str, str]:
        """Return a table of quantities as people spell them."""
        return {n: self.spelling(f"{key}.{n}", v) for n, v in sorted(self.mapping(key).items())}

    def spelling(self, key: str, value: Any) -> str:
        """Return a number or a pair as the text that means the same."""
        if isinstance(value, str):
            return value
        if isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)):
            return f"{value[0]!r}±{value[1]!r}"
        if _is_number(value):
            return repr(value)
        raise self.error(
            key, f"{_kind(value)} is no quantity; write a number in SI or a text such as '5 GHz'"
        )

    def read(self, key: str, read: Callable[[], T]) -> T:
        """Call a reader; what it refuses is told with file, table and key."""
        try:
            return read()
        except PowercalError as error:
            raise self.error(key, str(error)) from error


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one table over another, key by key; ``false`` takes a key away."""
    found = dict(base)
    for key, value in over.items():
        if value is False:
            found.pop(key, None)
        elif isinstance(value, dict):
            below = found.get(key)
            found[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            found[key] = value
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return f"{value!r} " if isinstance(value, str | int | float) else ""


def _kind(value: Any) -> str:
    names = {
        "str": "the text",
        "bool": "the truth value",
        "int": "the number",
        "float": "the number",
        "list": "an array",
        "dict": "a table",
    }
    return names.get(type(value).__name__, "a date")
