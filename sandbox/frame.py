"""Frames: a length, a tag, and that many bytes. Strict JSON with bounds. Text made safe to show.

`harness.py` speaks the same format from inside the container with its own few lines: it can import nothing of ours.

    filters   length(4, big-endian) program, twice                                     host → harness, once
    request   kind(1) milliseconds(4) length(4) body key(32)                           host → harness
    reply     length(4) tag(32) | how(1) number(1) dirty(1) length of log(4) log payload    harness → host

The tag is keyed BLAKE2s(key of the call, all after it). The key reaches the harness only after the candidate's
process was forked, so a candidate that finds a way to write into the stream cannot speak for the harness.
"""

import hashlib
import hmac
import json
import math
import re
import struct
import unicodedata
from typing import Any, NamedTuple

from sandbox.errors import BadKernel
from sandbox.types import NOTE_CHARS, Json, Shape

LENGTH = struct.Struct(">I")
ASK = struct.Struct(">cI")
BIND, CALL = b"B", b"C"
FRONT = struct.Struct(">I32s")
HEAD = struct.Struct(">cBBI")
KEY = 32
HOW = {
    b"B": "begun",
    b"R": "returned",
    b"E": "raised",
    b"M": "memory",
    b"P": "refused",
    b"K": "compiled",
    b"N": "no frame",
    b"T": "torn",
    b"X": "extra",
    b"S": "signal",
    b"L": "log",
    b"O": "reply",
}
"""What the harness says of a child: its letter on the wire, its word here."""
INT_BITS = 63
DEPTH = 64


class Malformed(Exception):
    """Bytes from inside are no frame, no strict JSON, or not of the promised shape."""


class Head(NamedTuple):
    """What the harness says of a call. `number` is the signal, or the exit code of a child without a reply."""

    how: str
    number: int = 0
    dirty: bool = False
    log: bytes = b""


def wrong(value: Json) -> str:
    """Return why a value is not what `parse` gives back as it is, or nothing. One grammar for both directions."""
    left: list[tuple[Json, int]] = [(value, 1)]
    while left:
        one, depth = left.pop()
        if isinstance(one, str):
            try:
                one.encode("utf-8")
            except UnicodeError:
                return "a lone surrogate"
        elif isinstance(one, int):
            if not -(1 << INT_BITS) <= one < 1 << INT_BITS:
                return "an integer beyond 64 bits"
        elif isinstance(one, dict | list | tuple):
            if depth > DEPTH:
                return f"nested deeper than {DEPTH}"
            if isinstance(one, dict):
                if not all(isinstance(key, str) for key in one):
                    return "a key that is no text"
                left += [(key, depth) for key in one]
            left += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
    return ""


def pack(value: Json, most: int, what: str) -> bytes:
    """Return a request frame.

    Raises:
        BadKernel: The value is not what `parse` would take, or longer than `most` bytes.
    """
    try:
        if why := wrong(value):
            raise ValueError(why)
        body = json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadKernel(what, f"no JSON ({str(error)[:200]})", "send plain numbers, texts, lists and dicts") from None
    if len(body) > most:
        raise BadKernel(what, f"{len(body)} bytes, at most {most}", "send fewer or shorter rows")
    return LENGTH.pack(len(body)) + body


def opened(key: bytes, tag: bytes, said: bytes) -> tuple[Head, bytes]:
    """Return the head and the payload of a reply.

    Raises:
        Malformed: The tag was not made with this call's key, or what it seals is not a reply.
    """
    if len(said) < HEAD.size or not hmac.compare_digest(hashlib.blake2s(said, key=key).digest(), tag):
        raise Malformed("not under this call's seal")
    how, number, dirty, log = HEAD.unpack_from(said)
    end = HEAD.size + log
    return Head(HOW.get(how, "unknown"), number, bool(dirty), said[HEAD.size : end]), said[end:]


def _refuse(text: str) -> object:
    raise Malformed(f"{text[:20]} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > 20:
        raise Malformed(f"an integer of {len(text)} digits, at most 64 bits")
    value = int(text)
    if not -(1 << INT_BITS) <= value < 1 << INT_BITS:
        raise Malformed("an integer beyond 64 bits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed("a number that is not finite")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("an object with a key twice")
    return found


STRICT = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer, parse_float=_number, object_pairs_hook=_object)


TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
BRACKETS = bytes.maketrans(b"{}", b"[]")
OTHER = bytes(set(range(256)) - set(b"[]{}"))


def _deep(raw: bytes) -> bool:
    """Return whether brackets nest deeper than DEPTH, counted before anything recursive looks at them.

    Pairs are taken away from the inside, a level at a time: a long reply costs milliseconds.
    """
    left = TEXTS.sub(b"", raw).translate(BRACKETS, OTHER)
    for _ in range(DEPTH):
        left, before = left.replace(b"[]", b""), len(left)
        if not left or len(left) == before:
            break
    return bool(left)


def parse(raw: bytes) -> Json:
    """Return the value of strict JSON: UTF-8 without surrogates, finite numbers, 64-bit integers, unique keys.

    Raises:
        Malformed: It is not that.
    """
    try:
        text = raw.decode("utf-8")
        # Cheap first: only a text with more than DEPTH openings can nest deeper than that.
        if raw.count(b"[") + raw.count(b"{") > DEPTH and _deep(raw):
            raise Malformed(f"nested deeper than {DEPTH}")
        value = STRICT.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise Malformed("no UTF-8, or a lone surrogate") from None
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {str(error)[:100]}") from None
    return value


def fits(value: Json, shape: Shape) -> bool:
    """Return whether one row's value has the promised shape. A bool is not a number."""
    if shape is Shape.TRUTH:
        return isinstance(value, bool)
    if shape is Shape.NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if shape is Shape.INDICES:
        return isinstance(value, list) and all(type(item) is int for item in value)
    if shape is Shape.TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    return shape is Shape.ANY or isinstance(value, dict)


LONGEST = {Shape.TRUTH: 32, Shape.NUMBER: 64}
"""The most bytes of one row's value: what is longer is not read at all."""


def values(raw: bytes, count: int, shape: Shape) -> tuple[Json, ...]:
    """Return the `count` values of a payload.

    Raises:
        Malformed: No strict JSON, no list of that length, or a value of another shape.
    """
    if shape in LONGEST and len(raw) > 2 + count * LONGEST[shape]:
        raise Malformed(f"{len(raw)} bytes for {count} of {shape}")
    found = parse(raw)
    if not isinstance(found, list) or len(found) != count:
        raise Malformed(f"no list of {count} values")
    for at, value in enumerate(found):
        if not fits(value, shape):
            raise Malformed(f"row {at}: {type(value).__name__}, promised {shape}")
    return tuple(found)


def shown(text: str | bytes, most: int = NOTE_CHARS) -> str:
    """Return text of a candidate, safe for logs and pages: cut, no control or direction characters, no surrogates."""
    if isinstance(text, bytes):
        text = text[: 4 * most].decode("utf-8", "replace")
    kept = (c if c in "\n\t" or unicodedata.category(c)[0] != "C" else "\ufffd" for c in text[: 2 * most])
    clean = "".join(kept)
    return clean if len(clean) <= most else clean[: most - 1] + "…"
