"""Entity tags and dates in headers, and which answer they demand."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidesync.transports.service import Problem
from tidesync.transports.service.conditions import (
    Conditions,
    Held,
    Tags,
    entity_tag,
    http_date,
    parse_date,
    parse_tags,
    read_conditions,
)

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
HELD = Held("1.a", "2026-11-20T10:00:00.500000Z")
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)


@given(PRINTABLE)
def test_a_version_survives_being_an_entity_tag(version: str) -> None:
    """Quotes inside are escaped as the published clients do it, and come back as they were. [O08]"""
    tag = entity_tag(version)

    assert parse_tags("If-Match", tag) == Tags(strong=frozenset((version,)))


def _unescaped(tag: str) -> str:
    """What the published JavaScript client takes out of an entity tag."""
    return tag[1:-1].replace('\\"', '"')


@given(PRINTABLE.filter(lambda version: "\\" not in version))
def test_clients_read_the_version_out_of_the_tag(version: str) -> None:
    """By their own rule: without the outer quotes, `\\"` for a quote. [O08]"""
    assert version == _unescaped(entity_tag(version))


@given(
    st.lists(st.tuples(st.booleans(), PRINTABLE.filter(lambda tag: not set(tag) & set('\\"'))), min_size=1)
)
def test_a_list_of_tags_is_all_of_them(tags: list[tuple[bool, str]]) -> None:
    """Commas inside a tag are its own."""
    text = ", ".join(f'W/"{tag}"' if weak else f'"{tag}"' for weak, tag in tags)

    expected = Tags(
        strong=frozenset(tag for weak, tag in tags if not weak),
        weak=frozenset(tag for weak, tag in tags if weak),
    )
    assert expected == parse_tags("If-Match", text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("  ", 0),
        ("1.a", 0),
        ('"1.a', 0),
        ('"1.a" "1.b"', 0),
        ('"1.a", 1.b', 7),
        ('w/"1.a"', 0),
        ('*, "a"', 0),
    ],
)
def test_malformed_tags_are_refused(text: str, position: int) -> None:
    """A condition that cannot be read must not be taken for none: 400, and where."""
    with pytest.raises(Problem) as caught:
        _ = parse_tags("If-Match", text)

    assert (400, "malformed_header", position) == (
        caught.value.status,
        caught.value.code,
        caught.value.position,
    )


def test_one_tag_may_stand_bare() -> None:
    """The published server of 2.0 takes it so; a list of bare words is still none."""
    assert Tags(strong=frozenset(("MQ==",))) == parse_tags("If-Match", "MQ==", bare=True)
    with pytest.raises(Problem):
        _ = parse_tags("If-Match", "MQ==, Mg==", bare=True)


@pytest.mark.parametrize(
    "text",
    ["Fri, 20 Nov 2026 10:00:00 GMT", "Friday, 20-Nov-26 10:00:00 GMT", "Fri Nov 20 10:00:00 2026"],
)
def test_dates_have_three_forms(text: str) -> None:
    """RFC 9110 5.6.7: a recipient takes all three."""
    assert AT == parse_date(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-20T10:00:00Z",
        "Fri, 20 Nov 2026 10:00:00",
        "Fri, 20 Nov 2026 10:00:00 CET",
        "Fri, 31 Feb 2026 10:00:00 GMT",
        "Fri, 20 Nov 2026 10:00:00 GMT, Fri, 20 Nov 2026 10:00:00 GMT",
    ],
)
def test_what_is_no_date_is_ignored(text: str) -> None:
    """RFC 9110 13.1.3 and 13.1.4: a recipient must ignore it, so that the condition is not there."""
    conditions = read_conditions(
        lambda name: [text] if name.endswith("Since") else [], reading=True, bare=False, strict_dates=False
    )

    assert Conditions(reading=True) == conditions


def test_a_date_given_twice_is_ignored() -> None:
    """Nobody can say which was meant."""
    date = http_date("2026-11-20T10:00:00.000000Z")
    conditions = read_conditions(
        lambda name: [date, date] if name == "If-Unmodified-Since" else [],
        reading=False,
        bare=False,
        strict_dates=False,
    )

    assert Conditions() == conditions


@given(st.datetimes(datetime(1971, 1, 1), datetime(9998, 12, 31)))  # noqa: DTZ001  # their zone is added
def test_a_date_survives_without_its_part_of_a_second(moment: datetime) -> None:
    """Headers know seconds: what was sent as Last-Modified never makes a client's copy look old."""
    text = moment.isoformat(timespec="microseconds") + "Z"
    date = parse_date(http_date(text))

    assert date == moment.replace(microsecond=0, tzinfo=UTC)
    assert Conditions(unmodified_since=date).failure(Held("v", text)) is None
    assert 304 == Conditions(modified_since=date, reading=True).failure(Held("v", text))


RIGHT, WRONG, WEAK, ANY = '"1.a"', '"1.b"', 'W/"1.a"', "*"
PAST, SAME, FUTURE = AT - timedelta(hours=1), AT, AT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("given", "reading", "writing", "nothing"),
    [
        ({}, None, None, None),
        ({"match": RIGHT}, None, None, 412),
        ({"match": WRONG}, 412, 412, 412),
        ({"match": WEAK}, 412, 412, 412),
        ({"match": ANY}, None, None, 412),
        ({"match": f"{WRONG}, {RIGHT}"}, None, None, 412),
        ({"none_match": RIGHT}, 304, 412, None),
        ({"none_match": WEAK}, 304, 412, None),
        ({"none_match": WRONG}, None, None, None),
        ({"none_match": ANY}, 304, 412, None),
        ({"unmodified_since": PAST}, 412, 412, 412),
        ({"unmodified_since": SAME}, None, None, 412),
        ({"unmodified_since": FUTURE}, None, None, 412),
        ({"modified_since": PAST}, None, None, None),
        ({"modified_since": SAME}, 304, None, None),
        ({"modified_since": FUTURE}, 304, None, None),
        # Where a tag decides, the date beside it does not count.
        ({"match": RIGHT, "unmodified_since": PAST}, None, None, 412),
        ({"none_match": WRONG, "modified_since": FUTURE}, None, None, None),
        # If-Match comes before If-None-Match.
        ({"match": WRONG, "none_match": RIGHT}, 412, 412, 412),
        ({"match": RIGHT, "none_match": RIGHT}, 304, 412, 412),
        ({"unmodified_since": FUTURE, "modified_since": FUTURE}, 304, None, 412),
    ],
)
def test_conditions_in_the_order_of_the_rfc(
    given: dict[str, str | datetime], reading: int | None, writing: int | None, nothing: int | None
) -> None:
    """RFC 9110 13.2.2, for a read, a write, and an insert where nothing is. [O02] [O05]"""
    parts = {
        name: parse_tags("If-Match", value) if isinstance(value, str) else value
        for name, value in given.items()
    }
    read, write = Conditions(**parts, reading=True), Conditions(**parts)  # type: ignore[arg-type]

    assert (reading, writing, nothing) == (read.failure(HELD), write.failure(HELD), write.failure(None))


def test_datasync_counts_if_modified_since_for_writes() -> None:
    """RFC 9110 has it ignored there; the servers of 3.0 refuse the write, which is the safer side. [O02]"""
    assert 412 == Conditions(modified_since=FUTURE, strict_dates=True).failure(HELD)
    assert Conditions(modified_since=PAST, strict_dates=True).failure(HELD) is None
