import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.alignment.clock import Clock, Line, Piece, clocks_from_pieces
from consilience.schema.tables import Pieces, frame_of

lines = st.builds(Line, st.floats(-5, 5), st.floats(-500, 500))


@st.composite
def reset_clocks(draw: st.DrawFn) -> Clock:
    """Return a clock of one drift with up to three resets, each of which loses up to 3 s."""
    line = draw(lines)
    losses = draw(st.lists(st.tuples(st.floats(5, 100), st.floats(0.01, 3)), max_size=3))
    pieces, start, offset = [], -np.inf, line.offset_s
    for length, lost in losses:
        end = (0 if np.isinf(start) else start) + length
        pieces.append(Piece(Line(offset, line.drift_ppm), start, end))
        start, offset = end + 0.5, offset + lost
    return Clock.join([*pieces, Piece(Line(offset, line.drift_ppm), start)])


@given(clock=reset_clocks(), times=st.lists(st.floats(0, 1e4), min_size=2, max_size=9))
def test_the_two_conversions_are_inverse_and_monotone(clock: Clock, times: list[float]) -> None:
    native = np.unique(times)
    session = clock.to_session(native)
    valid = np.isfinite(session)
    assert (np.diff(session[valid]) >= 0).all()
    back = clock.to_native(session[valid])
    np.testing.assert_allclose(back, native[valid], atol=1e-7)
    assert clock.to_session(float(native[0])) == pytest.approx(session[0], nan_ok=True)


def test_times_between_pieces_are_nan() -> None:
    clock = Clock((Piece(Line(0), 0, 10), Piece(Line(2), 11, 20)))
    session = clock.to_session(np.array([-1, 5, 10.5, 11, 21.0]))
    np.testing.assert_array_equal(session, [np.nan, 5, np.nan, 13, np.nan])
    np.testing.assert_array_equal(clock.to_native(np.array([5, 12, 13.0])), [5, np.nan, 11])
    assert clock.session_span_s(-5, 15) == (0, 17)
    assert clock.longest == Line(0)


def test_pieces_that_overlap_in_session_time_are_shortened() -> None:
    clock = Clock.join([Piece(Line(0), 0, 10), Piece(Line(-2), 11, 20)])
    assert clock.pieces[1].from_native_s == 12
    assert len(Clock.join([Piece(Line(0), 0, 10), Piece(Line(-20), 11, 20)]).pieces) == 1


@given(line=lines, delay_s=st.floats(0, 3), time_s=st.floats(0, 1e3))
def test_a_shift_delays_every_session_time(line: Line, delay_s: float, time_s: float) -> None:
    clock = Clock((Piece(line, -10, 500.0), Piece(line, 501.0, 2e3)))
    shifted = clock.shifted(delay_s).to_session(time_s)
    assert shifted == pytest.approx(clock.to_session(time_s) + delay_s, nan_ok=True)


def test_clocks_are_built_from_table_pieces() -> None:
    rows: list[dict[str, object]] = [
        {"recording": name, "from_native_s": start, "until_native_s": end}
        | {"offset_s": offset, "drift_ppm": 1.0}
        for name, start, end, offset in (
            ("a", -np.inf, 4.0, 0.5),
            ("b", -np.inf, np.inf, 2.0),
            ("a", 5.0, np.inf, 1.5),
        )
    ]
    table: pl.DataFrame = frame_of(rows, Pieces)
    assert clocks_from_pieces(table) == {
        "a": Clock((Piece(Line(0.5, 1.0), until_native_s=4.0), Piece(Line(1.5, 1.0), 5.0))),
        "b": Clock.linear(2.0, 1.0),
    }
