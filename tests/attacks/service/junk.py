"""Parts of requests that nobody should send, drawn by a seeded chance: names, values, filters, headers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, quote_from_bytes

from tests.attacks.service import words

Pairs = list[tuple[str, str]]
_WRONG = (b'"', b"'", b"\\", b"{", b"]", b"\0", b"\xff", b"9" * 30, b"-", b"%00", b"e999")


class Junk:
    """Draws parts; the same ones for the same seed."""

    def __init__(self, seed: int | str) -> None:
        self.chance = random.Random(seed)
        self.count = 0

    def pick(self, pool: Sequence[Any]) -> Any:
        return self.chance.choice(pool)

    def one_in(self, count: int) -> bool:
        return self.chance.randrange(count) == 0

    def some(self, draw: Callable[[], str], most: int, least: int = 0) -> str:
        """Some of them, with commas between."""
        return ",".join(draw() for _ in range(self.chance.randrange(least, most)))

    # ---- texts

    def text(self) -> str:
        if self.one_in(4):
            return "".join(chr(self.chance.randrange(1, 0x250)) for _ in range(self.chance.randrange(20)))
        return str(self.pick(words.TEXTS))

    def spelt(self, text: str) -> bytes:
        """Text in an address, more or less as it has to be."""
        raw = text.encode("utf-8", "surrogatepass")
        match self.chance.randrange(20):
            case 0:
                return quote_from_bytes(raw, safe="/").encode()
            case 1:
                return quote(quote(text, safe=""), safe="").encode()
            case 2:
                return b"".join(b"%%%02x" % byte for byte in raw[:2000])
            case 3:
                return quote_from_bytes(text.encode("utf-16"), safe="").encode()
            case 4:
                return bytes(self.pick((b"%ff", b"%c0%ae", b"%", b"%zz", b"%u0041", b"%ED%A0%80")))
            case _:
                return quote_from_bytes(raw, safe="").encode()

    def id(self) -> str:
        known = ("f1", "f2", "f3", f"new-{self.count}")
        return str(self.pick(known)) if self.chance.random() < 0.6 else self.text()

    def name(self) -> str:
        return str(self.pick(words.NAMES)) if self.chance.random() < 0.85 else self.text()

    # ---- JSON

    def value(self, depth: int = 0) -> Any:
        """Some JSON."""
        match self.chance.randrange(9 if depth < 4 else 7):
            case 0:
                return self.pick((None, True, False))
            case 1:
                return self.pick(words.NUMERALS)
            case 2 | 3:
                return self.text()
            case 4:
                return self.pick(words.MOMENTS)
            case 5 | 6:
                return self.pick((1, "a", 2018, "2018", True))
            case 7:
                return [self.value(depth + 1) for _ in range(self.chance.randrange(4))]
            case _:
                return {self.name(): self.value(depth + 1) for _ in range(self.chance.randrange(4))}

    def record(self) -> dict[str, Any]:
        if self.one_in(2):  # one that may be taken
            return {"id": self.id(), "title": self.text()[:100], "year": self.pick((1, 2018)), "won": True}
        record = {self.name(): self.value() for _ in range(self.chance.randrange(5))}
        return record if self.one_in(3) else {"id": self.id(), **record}

    def json(self, value: Any) -> bytes:
        text = json.dumps(value, ensure_ascii=self.one_in(2)).encode("utf-8", "surrogatepass")
        return self.bent(text) if self.one_in(6) else text

    def body(self, value: Any) -> bytes:
        return bytes(self.pick(words.BODIES)) if self.one_in(8) else self.json(value)

    def bent(self, raw: bytes) -> bytes:
        """Bytes with something wrong in them."""
        if not raw:
            return b"\0"
        at, to = sorted((self.chance.randrange(len(raw)), self.chance.randrange(len(raw))))
        match self.chance.randrange(6):
            case 0:
                return raw[:at]
            case 1:
                return raw[:at] + bytes([self.chance.randrange(256)]) + raw[at + 1 :]
            case 2:
                return raw[:at] + raw[to:]
            case 3:
                return raw[:to] + raw[at:]
            case 4:
                return raw[:at] + bytes(self.pick(_WRONG)) + raw[at:]
            case _:
                old = self.pick((b"f1", b"eq", b'"', b"1", b"a", b":"))
                return raw.replace(old, self.pick((b"", b"\xc3\x28", b"''", b"9e9")))

    # ---- filters

    def expression(self, depth: int = 0) -> str:
        """A filter, as it should be or nearly so."""

        def within() -> str:
            return self.expression(depth + 1)

        match self.chance.randrange(12 if depth < 5 else 4):
            case 0 | 1:
                return self.name()
            case 2:
                return str(self.pick((*words.LITERALS, *words.NUMBERS)))
            case 3:
                text = self.text()
                return "'" + (text if self.one_in(3) else text.replace("'", "''")) + "'"
            case 4 | 5:
                return f"{self.pick(words.FUNCTIONS)}({self.some(within, 4)})"
            case 6:
                return f"not {within()}"
            case 7:
                return f"({within()})"
            case 8:
                return f"{self.name()} in ({self.some(lambda: self.pick(words.LITERALS), 4)})"
            case _:
                return f"{within()} {self.pick(words.OPERATORS)} {within()}"

    def filter(self) -> str:
        if not self.one_in(30):
            return self.expression()
        word = self.pick(("won or ", "not ", "(", "-", "1 add ", "concat(title,", "year eq 1 and ", "'"))
        return str(word * self.chance.randrange(50, 2000) + "won")

    def node(self, depth: int = 0) -> Any:
        """An expression of tidesync's own protocol, as it should be or nearly so."""
        type = self.pick(words.COLUMN_TYPES)
        die = self.chance.randrange(9 if depth < 5 else 3)
        within = [self.node(depth + 1) for _ in range(2 if die > 3 else 0)]
        match die:
            case 0:
                return ["field", self.name(), type]
            case 1:
                return ["value", self.value(4), type]
            case 2:
                return None if depth == 0 else self.value(3)
            case 3:
                constants = [self.value(4) for _ in range(self.pick((0, 1, 3, 2000)))]
                return ["in", ["field", self.name(), type], constants]
            case 4:
                return ["compare", self.pick(words.OPERATORS[:6]), *within]
            case 5:
                return [self.pick(("and", "or")), *within * self.pick((1, 1, 1, 30))]
            case 6:
                return ["arithmetic", self.pick(("add", "sub", "mul", "div", "mod")), *within]
            case 7:
                return [self.pick(("not", "negate")), within[0]]
            case _:
                return ["call", self.pick(words.FUNCTIONS), *within[: self.chance.randrange(3)]]

    # ---- addresses and headers

    def parameters(self) -> Pairs:
        def order() -> str:
            return self.name() + str(self.pick(("", " asc", " desc", " x")))

        drawn: tuple[tuple[int, str, Callable[[], str]], ...] = (
            (9, "$filter", self.filter),
            (3, "$orderby", lambda: self.some(order, 5, 1)),
            (3, "$select", lambda: self.some(self.name, 5, 1)),
            (2, "$top", lambda: self.pick(words.NUMBERS)),
            (2, "$skip", lambda: self.pick(words.NUMBERS)),
            (1, "$count", lambda: self.pick(("true", "false", "1", ""))),
            (1, "$inlinecount", lambda: self.pick(("allpages", "none", "x"))),
            (2, "__includedeleted", lambda: self.pick(("true", "false", "x"))),
            (2, "$skiptoken", lambda: self.pick((*words.TOKENS, self.text()))),
            (1, "ZUMO-API-VERSION", lambda: self.pick(("2.0.0", "3.0.0", "4", ""))),
            (1, self.text(), self.text),
            (1, "$expand", self.text),
        )
        chosen = self.chance.choices(drawn, [weight for weight, *_ in drawn], k=self.chance.randrange(4))
        return [(name, draw()) for _, name, draw in chosen]

    def target(self, path: bytes, pairs: Pairs) -> bytes:
        if not pairs:
            return path
        said = (quote(name, safe="$").encode() + b"=" + self.spelt(value) for name, value in pairs)
        return path + b"?" + b"&".join(said)

    def headers(self) -> Pairs:
        if self.one_in(2):
            return [("ZUMO-API-VERSION", self.pick(("2.0.0", "3.0.0")))]
        made: Pairs = []
        if not self.one_in(4):
            known = ("2.0.0", "3.0.0", "2.0", "3.0")
            odd = self.one_in(6)
            made.append(("ZUMO-API-VERSION", self.pick(("1", "2.0.0, 3.0.0", self.line()) if odd else known)))
        for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"):
            if self.one_in(6):
                made.append((name, self.pick((*words.TAGS, self.line()))))
        made += [(name, self.line()) for name in words.HEADERS if self.one_in(25)]
        return made

    def line(self) -> str:
        """What may stand in a header, at times with what may not."""
        text = str(self.pick((*words.HEADER_VALUES, self.text())))
        if self.one_in(30):
            return text
        return "".join(letter for letter in text if letter.isprintable())[:4000].strip()
