"""The streams of an entry of a log: pieces of both share entries, and come back as they were."""

from hypothesis import given
from hypothesis import strategies as st

from flowq.store.schema.log_streams import combine, separate

PIECES = st.lists(st.tuples(st.sampled_from(["out", "err"]), st.binary(min_size=1, max_size=40)), max_size=60)


@given(PIECES)
def test_pieces_come_back_in_their_order(pieces: list[tuple[str, bytes]]) -> None:
    entries = list(combine(pieces))
    back = [piece for entry in entries for piece in separate(*entry)]
    assert b"".join(data for _, data in back) == b"".join(data for _, data in pieces)
    assert streams_of_bytes(back) == streams_of_bytes(pieces)
    assert len(entries) <= 1


def test_an_entry_is_bounded() -> None:
    pieces = [("out", b"o" * 1000), ("err", b"e" * 1000)] * 200
    entries = list(combine(pieces))
    assert max(len(data) for _, data in entries) <= 64 * 1024
    assert [piece for entry in entries for piece in separate(*entry)] == pieces


def test_a_piece_may_be_longer_than_a_shared_entry() -> None:
    pieces = [("out", b"a" * 10), ("err", b"b" * 100_000), ("out", b"c" * 10)]
    assert [piece for entry in combine(pieces) for piece in separate(*entry)] == pieces


def test_one_stream_is_named_alone() -> None:
    assert list(combine([("err", b"1\n"), ("err", b"2\n")])) == [("err", b"1\n2\n")]


def streams_of_bytes(pieces: list[tuple[str, bytes]]) -> str:
    """Return the stream of each byte, a letter each."""
    return "".join(stream[0] * len(data) for stream, data in pieces)
