"""Wrong inputs out of right ones: a value of a document replaced, moved, nested or doubled, lines and bytes changed, or bytes at random.

What a document is made of stays in order in most of them, so that they get past the parser and reach what is behind it.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable, Sequence
from typing import Any

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 255, 2**31, 2**63, 2**64, -(2**63), 10**40, 0.5, -0.0, 1e-320, 1e308, float("inf"), float("nan")),
    *("", " ", "\0", "a\0b", "..", "../../x", "/etc/passwd", "~", "~nobody/x", "C:\\x", "x" * 300, "é", "\u0301", "\ud800", "\u202e", "\n"),
    *("true", "null", "nan", "1e999", "9" * 50, "-1", "0x10", "[1, 2]", "{a: 1}", "<b>", "=1+1", "%s", "{0}", "s3://KEY:SECRET@x/y", "a.b"),
    *([], {}, [None], {"": None}, [[]], {"a": {"b": []}}, [0, 0, 0, 0], [1e308] * 4, ["x"] * 20),
)
_TEXTS = (
    *("{", "}", "[", "]", ":", ",", "- ", "#", "&a ", "*a", "!!x ", "|", "> ", "%", "@", "'", '"', "\\", "\t", "\r", "\n", "\0", "\ufeff"),
    *("<!DOCTYPE a>", "<a>", "</annotation>", "<![CDATA[", "]]>", "&lt;", "&#0;", "&x;", "<?xml ?>", "..", "../", "/", "//", "~", "nan"),
    *("inf", "-1", "1e999", "9999999999999999999999", "null", "true", "0x", "1_0", "=", "==", "a.b.c=", "{float: ", "choice"),
)
TOKENS = (*(one.encode() for one in _TEXTS), b"\xff", b"\xed\xa0\x80", b"\x00" * 8, b"\xff" * 8)
_MANY = 1_500
_LARGEST = 1 << 20


def mutate(pick: random.Random, content: bytes, others: Sequence[bytes], kind: str) -> bytes:
    """One input; `kind` says what the content is: "json", "jsonl", or anything else, of which lines and bytes are changed."""
    if pick.random() < 0.02:
        return pick.randbytes(pick.choice((0, 1, 7, 100, 3_000)))
    for _ in range(pick.choice((1, 1, 1, 2, 3, 6))):
        ways: list[Callable[..., bytes]] = [_bytes, _bytes] if kind == "bytes" else [_lines, _lines, _bytes]
        ways += {"json": [_document] * 6, "jsonl": [_line_of_json] * 6}.get(kind, [])
        content = pick.choice(ways)(pick, content, others)
    return content[:_LARGEST]


def _document(pick: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    try:
        return json.dumps(changed(pick, json.loads(content))).encode()
    except (ValueError, RecursionError):  # it is none any more, or nested too deep for json itself
        return _bytes(pick, content, others)


def _line_of_json(pick: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    at = pick.randrange(len(lines))
    lines[at] = _document(pick, lines[at], others) if lines[at] else lines[pick.randrange(len(lines))]
    return b"\n".join(lines)


def changed(pick: random.Random, document: Any) -> Any:
    """The document with one of its values, or keys, another one."""
    places = [*_places(document)]
    if not places:
        return pick.choice(ODD)
    holder, key = pick.choice(places)
    what = pick.randrange(8)
    if what <= 3:
        holder[key] = pick.choice(ODD)
    elif what == 4:
        other, at = pick.choice(places)
        holder[key] = json.loads(json.dumps(other[at]))
    elif what == 5:
        del holder[key]
    elif what == 6 and isinstance(holder, dict):
        holder[str(pick.choice(ODD))[:40]] = holder.pop(key)
    elif what == 7 and pick.random() < 0.1:
        holder[key] = _nested(pick, holder[key])
    else:
        holder[key] = [holder[key]] if pick.random() < 0.5 else {str(key): holder[key]}
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Where a value stands: (what holds it, its key or number)."""
    found, waiting = [], [document]
    while waiting:
        one = waiting.pop()
        keys: Sequence[Any] = [*one] if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found


def _nested(pick: random.Random, value: Any) -> Any:
    for _ in range(pick.choice((40, 300))):
        value = [value] if pick.random() < 0.5 else {"a": value}
    return value


def _lines(pick: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    lines = content.split(b"\n")
    at, to = pick.randrange(len(lines)), pick.randrange(len(lines))
    what = pick.randrange(7)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(to, lines[at])
    elif what == 2:
        lines[at], lines[to] = lines[to], lines[at]
    elif what == 3:
        lines[at] = b" " * pick.choice((1, 2, 9)) + lines[at]
    elif what == 4:
        other = pick.choice(others).split(b"\n")
        lines.insert(at, pick.choice(other))
    else:
        lines[at] = _word(pick, lines[at])
    return b"\n".join(lines)


def _word(pick: random.Random, line: bytes) -> bytes:
    """A line with a token in it, or in place of one of its words."""
    words = line.split(b" ")
    at = pick.randrange(len(words))
    odd = pick.choice(TOKENS) if pick.random() < 0.5 else str(pick.choice(ODD)).encode("utf-8", "surrogatepass")
    words[at] = odd if pick.random() < 0.5 else words[at] + odd
    return b" ".join(words)


def _bytes(pick: random.Random, content: bytes, others: Sequence[bytes]) -> bytes:
    at = pick.randrange(len(content) + 1)
    end = min(len(content), at + pick.choice((1, 1, 2, 4, 8, 64, 1_000)))
    what = pick.randrange(8)
    if what == 0:
        return content[:at]
    if what == 1:
        return content[:at] + content[end:]
    if what == 2:
        return content[:end] + content[at:]
    if what == 3:
        return content[:at] + pick.choice(TOKENS) + content[at:]
    if what == 4:
        number = pick.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, 2**64 - 1)).to_bytes(8, pick.choice(("big", "little")))
        return content[:at] + number[: end - at] + content[end:]
    if what == 5:
        other = pick.choice(others)
        start = pick.randrange(len(other) + 1)
        return content[:at] + other[start : start + pick.choice((1, 16, 300))] + content[at:]
    if what == 6:
        return content[:at] + content[at:end] * pick.choice((2, 20, _MANY // max(1, end - at) + 1)) + content[end:]
    flipped = bytes(byte ^ 1 << pick.randrange(8) for byte in content[at:end])
    return content[:at] + flipped + content[end:]


def words_of(pick: random.Random, examples: Sequence[str]) -> list[str]:
    """Words of a command line, such as overrides: some right, some wrong."""
    found = []
    for _ in range(pick.choice((1, 1, 2, 4))):
        key, _, value = pick.choice(examples).partition("=")
        what = pick.randrange(5)
        if what == 0:
            key = pick.choice(examples).partition("=")[0]
        elif what == 1:
            key = "".join(pick.choice(string.printable) for _ in range(pick.randrange(12)))
        elif what == 2:
            value = mutate(pick, value.encode(), [b"x"], "text").decode("utf-8", "surrogateescape")[:2_000]
        elif what == 3:
            value = str(pick.choice(ODD))
        found.append(f"{key}={value}")
    return found
