"""Documents as bytes: MessagePack with NumPy arrays, laid out as msgpack-numpy does, never pickled."""

from typing import Any

import numpy as np
from event_model import DocumentNames

from ..errors import MessageError

# Not `msgpack.packb`: importing bluesky_kafka replaces that, for the whole process, by one that pickles.
try:
    from msgpack._cmsgpack import Packer, unpackb  # type: ignore[import-untyped]
except ImportError:  # an installation without the compiled part
    from msgpack.fallback import Packer, unpackb  # type: ignore[import-untyped]

__all__ = ["pack", "unpack", "unpack_named"]

PLAIN_KINDS = "biufcSUmM"
"""Kinds of NumPy arrays whose bytes are the data: numbers, strings and times, no objects."""


def pack(value: Any) -> bytes:
    """Serialize a document: plain values and arrays of them.

    Parameters
    ----------
    value
        The document.

    Returns
    -------
    Bytes that `unpack` and any msgpack-numpy reader can read.

    Raises
    ------
    MessageError
        The document contains a value that is neither plain data nor a numeric or string array.
    """
    try:
        return bytes(Packer(default=_encoded).pack(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"a document cannot be sent: {error}") from error


def unpack(message: bytes) -> Any:
    """Deserialize bytes written by `pack` or msgpack-numpy.

    Parameters
    ----------
    message
        The bytes.

    Returns
    -------
    The value; arrays have their original dtype and are read-only.

    Raises
    ------
    MessageError
        The bytes are damaged, or contain pickled objects, which can run any program and are never read.
    """
    try:
        return unpackb(message, object_hook=_decoded)
    except MessageError:
        raise
    except Exception as error:  # MessagePack, UTF-8, dtype and shape raise different errors
        raise MessageError(f"a message of {len(message)} bytes cannot be read: {error!r}") from error


def unpack_named(message: bytes) -> tuple[str, dict[str, Any]]:
    """Read a message that holds the kind of a document and the document.

    Parameters
    ----------
    message
        The bytes.

    Returns
    -------
    Kind and document.

    Raises
    ------
    MessageError
        The message is not such a pair.
    """
    match unpack(message):
        case [str(name), dict(doc)] if name in DocumentNames.__members__:
            return name, doc
        case found:
            raise MessageError(
                f"expected [kind, document], found {_brief(found)}: check that this is the topic that the "
                "RunEngine publishes to"
            )


def _brief(found: Any) -> str:
    text = repr(found)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in PLAIN_KINDS:
        data = np.ascontiguousarray(value)
        return {
            b"nd": True,
            b"type": value.dtype.str,
            b"kind": b"",
            b"shape": value.shape,
            b"data": data.tobytes()
            if data.dtype.kind in "mM"
            else data.data,  # datetimes do not support the buffer protocol
        }
    if isinstance(value, np.generic) and value.dtype.kind in PLAIN_KINDS:
        return {b"nd": False, b"type": value.dtype.str, b"data": value.tobytes()}
    if isinstance(value, complex):
        return {b"complex": True, b"data": repr(value)}
    if isinstance(value, set | frozenset):
        return list(value)
    raise TypeError(f"found a {type(value).__name__}, allowed are plain values and arrays of them")


def _decoded(value: dict[Any, Any]) -> Any:
    if b"complex" in value:
        return complex(value[b"data"])
    if b"nd" not in value:
        return value
    if value.get(b"kind"):  # structured or, pickled, of objects
        raise MessageError(
            "the message contains an array of objects, which is pickled: send numbers or strings"
        )
    dtype = np.dtype(value[b"type"])
    if dtype.kind not in PLAIN_KINDS:
        raise MessageError(f"the message contains an array of dtype {dtype.str}: send numbers or strings")
    data = np.frombuffer(value[b"data"], dtype)
    return data.reshape(value[b"shape"]) if value[b"nd"] else data[0]
