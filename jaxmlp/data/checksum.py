"""A checksum over what is written and read back, so that damage of a disk or a copy is noticed.

    content  SHA-256 of the content (32 bytes)  b"\\njaxmlp sha-256\\n"

stands at the end of a file of bytes. Readers of HDF5 ignore what is behind the content, and a program that changes the
file cuts it off: the file is then one without a checksum, as those of earlier releases are. It finds damage, no
forgery: whoever changes a file with intent can write a new checksum.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

MARK = b"\njaxmlp sha-256\n"
KEY = "checksum"


def seal(content: bytes) -> bytes:
    """Return the content with its checksum at the end.

    >>> unseal(seal(b"content")), unseal(b"content")
    ((b'content', True), (b'content', None))
    """
    return b"".join([content, hashlib.sha256(content).digest(), MARK])


def unseal(content: bytes) -> tuple[bytes, bool | None]:
    """Return the content without its checksum, and whether the checksum is that of the content; None without one."""
    if not content.endswith(MARK):
        return content, None
    end = len(content) - len(MARK)
    body, digest = content[: end - 32], content[end - 32 : end]
    return body, hashlib.sha256(body).digest() == digest


def digest_of_facts(facts: Mapping[str, Any]) -> str:
    """Return the checksum of what JSON can write, but for its own entry.

    >>> digest_of_facts({"a": 1, "b": [2.5]}) == digest_of_facts({"b": [2.5], "a": 1, "checksum": "old"})
    True
    """
    content = {name: value for name, value in facts.items() if name != KEY}
    # sorted: a program that writes the JSON again may order its keys in another way
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
