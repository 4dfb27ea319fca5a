"""What travels over REST: less than everything, and said so."""

import re
from typing import Final

from tidesync.conformance import Domain
from tidesync.conformance.transport.tables import THING
from tidesync.records import Json
from tidesync.transports.http.values import RESERVED, SAFE_INT, WIRE_SYSTEM

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def in_an_address(id: str) -> bool:
    """Ids that are a step of an address by themselves."""
    return id not in (".", "..")


def _names_a_field(field: str) -> bool:
    return field not in WIRE_SYSTEM and field.lower() not in RESERVED


def _is_safe(value: Json) -> bool:
    return type(value) is not int or abs(value) <= SAFE_INT


def on_3(field: str, value: Json) -> bool:
    """Any name that means nothing else there."""
    return field in THING.by_name or _names_a_field(field)


def on_2(field: str, value: Json) -> bool:
    """Names that are columns; numbers that JavaScript has; structures where a column is declared for them."""
    if field in THING.by_name:
        return _is_safe(value)
    named = _NAME.match(field) is not None and _names_a_field(field)
    return named and _is_safe(value) and not isinstance(value, list | dict)


REST3: Final = Domain(
    ids=in_an_address,
    values=on_3,
    says='no id "." or ".."; no field named as a system column of the wire: id, deleted, version, createdAt, updatedAt',
)
REST2: Final = Domain(
    ids=in_an_address,
    values=on_2,
    says="as on 3.0; names of letters, digits and _; integers up to 2**53; structures in JSON columns only",
)


def on_node(field: str, value: Json) -> bool:
    """What a column of SQLite, made for the first value that it saw, and JavaScript's JSON leave as it is."""
    if field == "at":
        return not isinstance(value, str) or value.endswith("000Z")
    if field in THING.by_name:
        return on_2(field, value) and not (isinstance(value, float) and str(value) == "-0.0")
    plain = field == field.lower() and len(field) < 128 and field not in ("constructor", "__proto__")
    return plain and on_2(field, value) and (value is None or isinstance(value, str))


NODE: Final = Domain(
    ids=in_an_address,
    values=on_node,
    says=(
        "as on 2.0; moments to the millisecond; no -0.0; undeclared fields hold text, under names in lower case of "
        "less than 128 letters"
    ),
)
