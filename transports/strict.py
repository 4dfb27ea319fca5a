"""JSON from strangers: read strictly, and every fault names the field that has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NoReturn, cast

from tidesync.errors import InvalidRecord
from tidesync.records import INT_MAX, Json, check_json

SHOWN: Final = 60
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Malformed(ValueError):
    """A message that is none; `field` is the path of what is wrong in it, empty for all of it."""

    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(f"{field}: {reason}" if field else reason)


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("", "a key occurs twice in an object")
    return found


def _constant(name: str) -> NoReturn:
    raise Malformed("", f"{name} is not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant).decode
_decode_own = json.JSONDecoder(parse_constant=_constant).decode


def parse(raw: bytes) -> Json:
    """The value that a text in UTF-8 stands for. Raises `Malformed`, also for a key that occurs twice."""
    try:
        value: Json = _decode(raw.decode())
    except Malformed:
        raise
    except RecursionError as error:
        raise Malformed("", "it is nested too deeply") from error
    except ValueError as error:
        raise Malformed("", _reason(error)) from error
    return value


def parse_lines(raw: bytes) -> list[Json]:
    """The values of a text of one value a line. Raises `Malformed` for the whole of it."""
    # No line feed can stand inside a value, so that the whole is read at once.
    try:
        values: list[Json] = _decode_own("[" + raw.decode().strip("\n").replace("\n", ",") + "]")
    except Malformed:
        raise
    except RecursionError as error:
        raise Malformed("", "it is nested too deeply") from error
    except ValueError as error:
        raise Malformed("", _reason(error)) from error
    return values


def _reason(error: ValueError) -> str:
    """Why a text is not JSON; of a number that is too long, Python would tell how its limit is raised."""
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return f"it is not JSON: {error}"
    return "it is not JSON for machines: an integer has too many digits"


def to_line(value: Json) -> bytes:
    """The value as one line, without its end. Raises ValueError for what is not JSON."""
    text = _encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def type_name(value: Json) -> str:
    """What JSON calls a value, for messages."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if value is None:
        return "null"
    return "text" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"


def shown(value: Json) -> str:
    """A value that was read, cut to fit a message."""
    if value is not None and not isinstance(value, str | int | float):
        return type_name(value)
    text = ascii(value[:SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


class Members:
    """An object whose members are taken out one by one, each with its type checked; `path` names it.

    Raises `Malformed`; with `known`, also where it has other members.
    """

    def __init__(self, value: Json, path: str = "", known: frozenset[str] | None = None) -> None:
        if not isinstance(value, dict):
            raise Malformed(path, f"it is {type_name(value)}, and must be an object")
        if known is not None and not value.keys() <= known:
            odd = min(value.keys() - known)
            raise Malformed(self._join(path, shown(odd)), "there is no such member")
        self.value, self.path = value, path

    @staticmethod
    def _join(path: str, name: str) -> str:
        return f"{path}.{name}" if path else name

    def at(self, name: str) -> str:
        """The path of a member."""
        return self._join(self.path, name)

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self.value

    def raw(self, name: str) -> Json:
        """A member of any type; null where it is missing."""
        return self.value.get(name)

    def text(self, name: str) -> str:
        """A member that is text which every encoding can carry."""
        return text(self.value.get(name), self.at(name))

    def text_or_null(self, name: str) -> str | None:
        """A member that is text, null or missing."""
        return None if self.value.get(name) is None else self.text(name)

    def flag(self, name: str, default: bool = False) -> bool:
        """A member that is true or false."""
        value = self.value.get(name, default)
        if not isinstance(value, bool):
            raise Malformed(self.at(name), f"it is {type_name(value)}, and must be true or false")
        return value

    def count(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A member that is a whole number of 64 bits, `least` or more."""
        value = self.value.get(name, default)
        if type(value) is not int or not least <= value <= INT_MAX:
            raise Malformed(
                self.at(name), f"it is {shown(value)}, and must be a whole number from {least} on"
            )
        return value

    def seconds(self, name: str, default: float | None = None) -> float:
        """A member that is a duration: a finite number, not negative."""
        value = self.value.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= INT_MAX:
            raise Malformed(self.at(name), f"it is {shown(value)}, and must be seconds from 0 on")
        return float(value)

    def names(self, name: str, most: int) -> tuple[str, ...]:
        """A member that is a list of texts."""
        value = self.value.get(name)
        if not isinstance(value, list):
            raise Malformed(self.at(name), f"it is {type_name(value)}, and must be an array of texts")
        return texts(cast("list[Json]", value), self.at(name), most)

    def mapping(self, name: str, most: int) -> dict[str, str]:
        """A member that maps text to text; empty where it is missing."""
        value = self.value.get(name, {})
        if not isinstance(value, dict):
            raise Malformed(self.at(name), f"it is {type_name(value)}, and must be an object")
        found = cast("dict[str, Json]", value)
        _ = texts(list(found), self.at(name), most)
        return {key: text(each, f"{self.at(name)}.{shown(key)}") for key, each in found.items()}

    def json(self, name: str, levels: int) -> Json:
        """A member that is any JSON which can be kept, at most so many levels deep."""
        value = self.value.get(name)
        try:
            check_json(self.path, name, value, levels)
        except InvalidRecord as error:
            raise Malformed(self.at(name), error.reason) from error
        return value


def text(value: Any, path: str) -> str:
    """The value, if it is text which every encoding can carry."""
    if type(value) is not str:
        raise Malformed(path, f"it is {type_name(value)}, and must be text")
    if not value.isascii():
        try:
            _ = value.encode()
        except UnicodeEncodeError as error:
            raise Malformed(path, "it holds a lone surrogate") from error
    return value


def texts(values: Iterable[Json], path: str, most: int) -> tuple[str, ...]:
    """The values, if they are texts and not too many."""
    found = tuple(values)
    if len(found) > most:
        raise Malformed(path, f"it has {len(found)} items, and {most} are the limit")
    return tuple(text(value, path) for value in found)
