"""What junk is made of. None of it has a word as the service would spell it: a reply that has one, found it within."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


def lines(text: str) -> tuple[str, ...]:
    """The lines of a text."""
    return tuple(text.strip().splitlines())


SQL = lines("""
'; DELETE FROM vault; --
' or 1=1 --
x' UNION sElEcT * FROM vault --
"; DROP TABLE vault; --
') or ('1'='1
1;UPDATE vault SET n=0
vault"--
`vault`
[vault]
films; aTtAcH 'x'
\\'; DELETE FROM vault
%' or '%'='
f1' and rAnDoMbLoB(999999999) and '1'='1
title) or (1 eq 1
cast(1 as text)
""")
TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\t",
        "\r\nX-Injected: yes\r\n",
        "\n",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\uffff",
    ),
    *("é", "e\u0301", "\U0001f600", "x" * 255, "x" * 256, "x" * 5000, "9" * 400),
    *words("""
        .. ../.. / // \\ % %2F %00 null true NaN 0 -1 1e999 f1 F1 f2 __proto__ $filter {} [] ' " ''
        <script> ${7*7} {{7}} %s%n
    """),
    *SQL,
)
NAMES = words("""
    id title year rating won released day price tags owner createdAt updatedAt version deleted
    created_at updated_at _deleted _sequence __deleted rowid nope ID Title x
""")
TABLES = words("films notes Films nothing __authority __trails meta")
NUMBERS = (*words("""
    0 1 -1 2018 1.5 9223372036854775807 9223372036854775808 -9223372036854775808 1e308 1e309 -0.0 1e-400 0.1M 1e99999M
    5L 7f 2d 0x1F 00 1_0 ٣
"""), "9" * 400)  # fmt: skip
LITERALS = words("""
    'a' '' 'it''s' null true datetime'2020-01-01T00:00:00.000Z' datetimeoffset'2020-01-01T00:00:00+14:00'
    2020-01-01T00:00:00Z 2020-01-01 cast(2020-01-01T00:00:00.000Z,Edm.DateTimeOffset) cast(x,Edm.Int32) guid'0'
    datetime'9999-99-99' 0000-00-00T00:00:00Z 9999-12-31T23:59:59.9999999-14:00 X'00ff' duration'P1D' time'PT1H' 1.2.3
""")
FUNCTIONS = words("""
    contains substringof startswith endswith concat indexof length replace substring tolower toupper trim year month day
    hour minute second date round floor ceiling now sleep load_extension
""")
OPERATORS = words("eq ne gt ge lt le and or add sub mul div mod in has EQ = ==")
METHODS = words(
    "GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT PROPFIND get M-SEARCH XXXXXXXXXXXXXXXXXXXX"
)
WANTED = words("cursor limit overlap fields ids total deleted departures incremental parameters x")
TOKENS = (*words("WzEsIiIsW10sImYxIl0 WzEsIiIsWzFdLCJhIl0 e30"), "A" * 2001)
COLUMN_TYPES = words("string integer float boolean datetime date time decimal uuid bytes json any")
TYPES = lines("""
application/json
application/json; charset=utf-8
application/json; charset=utf-16
application/json;charset=x'
application/merge-patch+json
application/json-patch+json
application/x-ndjson
text/plain
multipart/form-data
/
;
""")
MOMENTS = words("2020-01-01 2020-01-01T00:00:00Z 0001-01-01T00:00:00+14:00 12.50 1e9999999 AA== NaN")
NUMERALS = (0, -1, 2018, 2**53, 2**63 - 1, 2**63, -(2**63), 10**300, 10**309, 1.5, -0.0, 1e308, 5e-324)
TAGS = lines("""
"1.x"
*
W/"1"
"a","b"
x
"
Sat, 29 Oct 2050 19:43:31 GMT
""")
HEADERS = words("""
    X-ZUMO-Options Prefer Accept Accept-Encoding Range Expect Tidesync-Remote X-Forwarded-For X-HTTP-Method-Override
    Authorization X-ZUMO-AUTH Origin Cookie Upgrade
""")
HEADER_VALUES = words(
    "return=minimal include:deleted nextlink:path gzip bytes=0-1 DELETE http://x 100-continue websocket"
)
BODIES = (
    *(text.encode("utf-8") for text in words("""
        null 1 "x" [] {} { - NaN [NaN] {"id":"d","id":"e"} {"title":"\\ud800"} {"rating":1e999} {"rating":Infinity}
        {}{} \ufeff{} {"":1} {"\\u0000":1} {"price":"1e99999999"} {"title":"\\u0000"} {'title':1}
    """)),
    *(b"", b"\0", b'{"title":"\xff"}', b"\x1f\x8b", '{"title":"x"}'.encode("utf-16"), '{"title":"x"}'.encode("utf-32")),
    *(b"[" * 100_000, b'{"a":' * 20_000, b"9" * 100_000, b"[" * 31 + b"]" * 31),
    b'{"title":"' + b"x" * 1_100_000 + b'"}',
    *(b'{"rating":1' + b"0" * 309 + b"}", b'{"year":' + b"9" * 300 + b"}", b'{"tags":"' + b"[" * 900 + b'"}'),
    b'{"tags":' + b"[" * 500 + b"]" * 500 + b"}",
)  # fmt: skip
PATHS = (
    *(path.encode() for path in words("""
    / // /tables /tables/ /tables//f1 /tables/films/ /tables/films// /tables/films/a/b/c * /health /docs /openapi.json
    /tables/films/%2e%2e/%2e%2e/etc/passwd /../../etc/passwd /tables/..%2f..%2fetc /tables/films/../vault
    /tidesync/v1/ /tidesync/v2 /tidesync/v1/tables/films /tidesync/v1/push/x http://other/tables/films
    /tables/films;x=1 /tables/films%3f$top=1 /tables/films%00
""")),
    *(b"/" + b"a" * 20_000, b"/tables/" + b"a/" * 500),
)  # fmt: skip
_POST = b"POST /tables/films HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_GET = b"GET /tables/films HTTP/1.1\r\nHost: a\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n"
_BODY = b'{"id":"cut","title":"x"}'
BROKEN = (
    *(
        _POST + b"Content-Length: " + each + b"\r\n\r\n" + _BODY
        for each in (b"99", b"-1", b"1e3", b"9" * 5000, b"+24", b"0x18")
    ),
    *(
        _CHUNKED + b"\r\n" + each
        for each in (b"zz\r\n", b"5\r\n{}", b"ffffffffffffffff\r\n{}", b"-1\r\n", b"0;" + b"x" * 70_000)
    ),
    *(
        _GET + each + b"\r\n\r\n"
        for each in (b"A b: c", b"Host: b", b": x", b"X: " + b"x" * 100_000, b"X: a\rb", b"X: a\0b")
    ),
    *(
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    *(
        b"\x16\x03\x01\x02\x00",
        b"\r\n" * 1000,
        _CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n",
        _POST + b"\r\n" + _BODY,
    ),
    _POST + b"Content-Length: 24\r\nContent-Length: 5\r\n\r\n" + _BODY,
    _POST + b"Transfer-Encoding: gzip, x\r\n\r\n" + _BODY,
    _GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
)
