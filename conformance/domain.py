"""Which ids and values are legal: all that the contract takes, unless an adapter declares less."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs

from tidesync.errors import ConfigurationError
from tidesync.records import Json, Record


def _any_id(_id: str) -> bool:
    return True


def _any_value(_field: str, _value: Json) -> bool:
    return True


@attrs.frozen(kw_only=True)
class Domain:
    """A narrowing of what is stored and sent in the rules; the report repeats what it `says`.

    `ids(id)` and `values(field, value)` tell what is legal; `says` puts it in words, and must be given with either
    (`ConfigurationError`). A rule about a value that is not legal is not tried with it.
    """

    ids: Callable[[str], bool] = _any_id
    values: Callable[[str, Json], bool] = _any_value
    says: str = ""

    def __attrs_post_init__(self) -> None:
        if self.is_narrow and not self.says:
            raise ConfigurationError(
                "Domain narrows ids or values: put it in words with says=, for the report"
            )

    @property
    def is_narrow(self) -> bool:
        """Whether anything that the contract takes is left out."""
        return self.ids is not _any_id or self.values is not _any_value

    def legal(self, record: Record) -> bool:
        """Whether the record may be stored as it is."""
        return self.ids(str(record["id"])) and all(
            self.values(field, value) for field, value in record.items() if field != "id"
        )

    def trimmed(self, record: Record) -> Record:
        """The record without the fields that are not legal; its id is left as it is."""
        return {field: value for field, value in record.items() if field == "id" or self.values(field, value)}

    def legal_ids(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that are legal, in their order."""
        return [id for id in ids if self.ids(id)]

    def legal_values(self, field: str, values: Iterable[Json]) -> list[Json]:
        """Those of the values that are legal in the field, in their order."""
        return [value for value in values if self.values(field, value)]
