"""What a rule says when it is broken. Plain `assert` would say nothing under `python -O`, and True equals 1 for it."""

from __future__ import annotations

import struct
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic, NoReturn, TypeVar, cast

import attrs

E = TypeVar("E", bound=BaseException)

_SHOWN = 600
_PLAIN = frozenset({str, int, bool})


class RuleBroken(AssertionError):
    """What was tested does not keep the rule; the message holds what was expected, and what was there."""


@attrs.define
class Caught(Generic[E]):
    """The exception that `raises` waited for, once its block is over."""

    error: E | None = None


def fail(what: str) -> NoReturn:
    """Say that the rule is broken."""
    __tracebackhide__ = True
    raise RuleBroken(what)


def true(holds: object, what: str) -> None:
    """Raise `RuleBroken`, saying `what`, unless it holds."""
    __tracebackhide__ = True
    if not holds:
        raise RuleBroken(what)


def equal(expected: object, actual: object, what: str = "") -> None:
    """Raise `RuleBroken` unless the two are equal by type: true is not 1, 1 is not 1.0, and floats compare by bits."""
    __tracebackhide__ = True
    where = difference(expected, actual)
    if where is not None:
        path, wanted, found = where
        title = f"{what}: " if what else ""
        raise RuleBroken(
            f"{title}expected {shown(wanted)}, found {shown(found)}" + (f" at {path}" if path else "")
        )


@contextmanager
def raises(*kinds: type[E], naming: str = "", what: str = "") -> Generator[Caught[E], None, None]:
    """Raise `RuleBroken` unless the block raises one of these, with `naming` in its text."""
    caught: Caught[E] = Caught()
    wanted = " or ".join(kind.__name__ for kind in kinds)
    title = f"{what}: " if what else ""
    try:
        yield caught
    except kinds as error:
        caught.error = error
        if naming not in str(error):
            raise RuleBroken(
                f"{title}{type(error).__name__} should name {naming!a}, and says {shown(str(error))}"
            ) from error
        return
    except Exception as error:
        raise RuleBroken(
            f"{title}expected {wanted}, and {type(error).__name__} was raised: {shown(str(error))}"
        ) from error
    raise RuleBroken(f"{title}expected {wanted}, and nothing was raised")


@contextmanager
def works(what: str) -> Generator[None, None, None]:
    """Raise `RuleBroken`, saying what was tried, if the block raises anything: for what must be no error."""
    try:
        yield
    except RuleBroken:
        raise
    except Exception as error:
        raise RuleBroken(
            f"{what}: must work, and {type(error).__name__} was raised: {shown(str(error))}"
        ) from error


def difference(expected: object, actual: object) -> tuple[str, object, object] | None:
    """Where two values first differ by type or value: a path, and both; None if nowhere."""
    if expected is actual:
        return None
    if type(expected) is not type(actual):
        return "", expected, actual
    if type(expected) in _PLAIN and expected == actual:  # most values are plain, and equal
        return None
    steps, others = _steps(expected), _steps(actual)
    if steps is not None and others is not None:
        if steps.keys() != others.keys():
            return "", expected, actual
        for step, value in steps.items():
            found = difference(value, others[step])
            if found is not None:
                path, wanted, there = found
                return f"[{step!a}]{path}", wanted, there
        return None
    if isinstance(expected, float):
        return None if struct.pack("d", expected) == struct.pack("d", actual) else ("", expected, actual)
    return None if expected == actual else ("", expected, actual)


def _steps(value: object) -> dict[object, object] | None:
    """The parts of an object or a list, by key or place; None for what has none."""
    if isinstance(value, dict):
        return cast("dict[object, object]", value)
    if isinstance(value, list | tuple):
        return dict(enumerate(cast("list[object] | tuple[object, ...]", value)))
    return None


def shown(value: object) -> str:
    """A value for a message: in ASCII, and cut where it is long."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
