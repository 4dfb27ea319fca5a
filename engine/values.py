"""Column types, and the one JSON form that each of them has.

| type | Python | canonical JSON | ordered as stored |
|---|---|---|---|
| STRING, INTEGER, FLOAT, BOOLEAN | str, int, float, bool | itself | yes |
| DATETIME | aware datetime | "2026-11-20T03:45:05.507000Z": UTC, always 27 characters | yes |
| DATE | date | "2026-11-20" | yes |
| TIME | naive time | "03:45:05.507000" | yes |
| DECIMAL | Decimal | its text, exact ("1.50") | no: compared by number |
| UUID | UUID | lower-case text with dashes | yes |
| ENUM | Enum | its value (text or integer) | yes |
| BYTES | bytes | base64 text | equality only |
| JSON | list, dict, nested class | itself | not queried inside |
| ANY | any JSON value | itself | by type, then value |
"""

from __future__ import annotations

import enum


class ColumnType(enum.Enum):
    """What a column holds; it shapes indexes and queries, never what may be stored."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    DATE = "date"
    TIME = "time"
    DECIMAL = "decimal"
    UUID = "uuid"
    ENUM = "enum"
    BYTES = "bytes"
    JSON = "json"
    ANY = "any"
