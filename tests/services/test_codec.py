"""Documents as bytes and back."""

import pickle
from contextlib import suppress
from typing import Any

import bluesky_kafka  # noqa: F401  (it makes MessagePack pickle, in the whole process)
import msgpack
import msgpack_numpy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from qdsizer_stream.errors import MessageError
from qdsizer_stream.services import pack, unpack, unpack_named

numeric = arrays.arrays(
    arrays.boolean_dtypes() | arrays.integer_dtypes() | arrays.floating_dtypes()
    | arrays.complex_number_dtypes() | arrays.datetime64_dtypes() | arrays.unicode_string_dtypes(max_len=5),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)  # fmt: skip
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | numeric,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def same(a: Any, b: Any) -> None:
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            same(one, other)
    elif isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()
    else:
        assert type(a) is type(b)
        np.testing.assert_equal(b, a)


@pytest.mark.slow
@given(plain)
def test_whatever_a_document_holds_comes_back(value: Any) -> None:
    same(value, unpack(pack(value)))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12, dtype=np.uint32).reshape(3, 4),
        np.arange(12.0).reshape(3, 4).T,  # not contiguous
        np.float32(1.5),
        {"data": {"a": np.ones(3), "b": [1, 2.5, "text", None]}},
        1 + 2j,
    ],
)
def test_msgpack_numpy_reads_and_writes_the_same(value: Any) -> None:
    theirs = msgpack.packb(value, default=msgpack_numpy.encode)
    np.testing.assert_equal(unpack(theirs), value)
    np.testing.assert_equal(msgpack.unpackb(pack(value), object_hook=msgpack_numpy.decode), value)


def test_tuples_and_sets_become_lists() -> None:
    assert unpack(pack({"shape": (1, 2), "kinds": {3}})) == {"shape": [1, 2], "kinds": [3]}


class Malicious:
    ran = False

    def __reduce__(self) -> Any:
        return setattr, (Malicious, "ran", True)


def test_a_pickle_is_never_opened() -> None:
    array = np.array([Malicious()], dtype=object)
    message = msgpack.packb({"data": array}, default=msgpack_numpy.encode)
    with pytest.raises(MessageError, match="contains an array of objects, which is pickled: send numbers"):
        unpack(message)
    assert not Malicious.ran
    msgpack.unpackb(message, object_hook=msgpack_numpy.decode)
    assert Malicious.ran  # the usual reader does run it


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xc1",
        pickle.dumps({"uid": "1"}),
        pack({"uid": "1"})[:-1],
        pack({"uid": "1"}) + b"more",
        msgpack.packb({b"nd": True, b"type": "<f8", b"shape": [5], b"data": b"12345678"}),
        msgpack.packb({b"nd": True, b"type": "no such", b"shape": [1], b"data": b"12345678"}),
        msgpack.packb({b"nd": True, b"type": "O", b"kind": b"", b"shape": [1], b"data": b"12345678"}),
        msgpack.packb({b"nd": True}),
    ],
)
def test_damaged_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(MessageError):
        unpack(damaged)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_be_refused(message: bytes) -> None:
    with suppress(MessageError):
        unpack(message)


def test_a_message_names_its_document() -> None:
    assert unpack_named(pack(["start", {"uid": "1"}])) == ("start", {"uid": "1"})
    for other in (["start"], ["begin", {}], {"uid": "1"}, ["start", [1]], "x" * 1000):
        with pytest.raises(MessageError, match=r"expected \[kind, document\], found") as raised:
            unpack_named(pack(other))
        assert len(str(raised.value)) < 250


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(MessageError, match="found a object, allowed are plain values and arrays of them"):
        pack({"data": object()})
    with pytest.raises(MessageError, match="cannot be sent"):
        pack({"data": np.array([object()])})
