"""Cells and leases as bytes on a place that others write to: with a digest, and a signature where a key is given.

The first line says what follows, with SHA-256 of it and an HMAC-SHA256 of name and content (RFC 2104), or `-`. What is damaged,
of another name, too large, or not signed with the key, is refused before it is unpacked.
"""

import base64
import hashlib
import hmac
import json
import re
import zlib

from ablate import predictions

from . import portable
from .portable import Record

MARK = b"ablate 1"
LARGEST = portable.LARGEST + predictions.LARGEST  # bytes of a cell, packed and unpacked
SHORTEST = 16  # characters of a key
_LINE = re.compile(rb"ablate 1 ([0-9a-f]{64}) ([0-9a-f]{64}|-)\n")


def sealed(name: str, content: bytes, key: bytes | None) -> bytes:
    """Content as an object of this name."""
    digest = hashlib.sha256(content).hexdigest().encode()
    return b" ".join([MARK, digest, _signature(name, content, key) if key else b"-"]) + b"\n" + content


def unsealed(name: str, data: bytes, key: bytes | None) -> bytes:
    """The content of an object.

    Raises:
        ValueError: It is damaged, or not signed with the key.
    """
    line = _LINE.match(data)
    if line is None:
        raise ValueError("it is nothing that ablate wrote")
    content = data[line.end() :]
    if hashlib.sha256(content).hexdigest().encode() != line[1]:
        raise ValueError("it is damaged")
    if key and not hmac.compare_digest(_signature(name, content, key), line[2]):
        raise ValueError("it is not signed with this key")
    return content


def _signature(name: str, content: bytes, key: bytes) -> bytes:
    return hmac.new(key, MARK + b" " + name.encode() + b"\0" + content, "sha256").hexdigest().encode()


def cell(record: Record, said: bytes | None, key: bytes | None) -> bytes:
    """A finished cell with its predictions as an object."""
    content = {"cell": record, "predictions": None if said is None else base64.b64encode(said).decode()}
    return sealed(record["key"], zlib.compress(json.dumps(content, allow_nan=False).encode(), 6), key)


def cell_in(name: str, data: bytes, key: bytes | None) -> tuple[Record, bytes | None]:
    """The cell of this key in an object, and what it said of each image.

    Raises:
        ValueError: It is none.
    """
    content = unsealed(name, data, key)
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(content, LARGEST)
        if not unpacker.eof or unpacker.unused_data:
            raise ValueError("it has no end, or more than a cell can have")
        told = json.loads(text)
        record = portable.unpacked(json.dumps(told["cell"]).encode(), name)
        said = told["predictions"]
        return record, None if said is None else predictions.decoded(said)
    except (zlib.error, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is no cell: {type(error).__name__}") from error
