import pytest

from consilience.schema.params.alignment import AlignmentParams


@pytest.mark.parametrize(
    ("rate_hz", "tolerance_ms"), [(None, 20.0), (1000.0, 20.0), (25.0, 20.0), (4.0, 125.0)]
)
def test_the_tolerance_is_at_least_half_a_sample(
    rate_hz: float | None, tolerance_ms: float
) -> None:
    assert AlignmentParams(tolerance_ms=20.0).sample_tolerance_ms(rate_hz) == tolerance_ms


@pytest.mark.parametrize("name", ["max_offset_s", "max_drift_ppm", "tolerance_ms"])
def test_bounds_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){name}.*greater than 0"):
        AlignmentParams(**{name: 0.0})


def test_a_confidence_of_one_is_impossible() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        AlignmentParams(min_confidence=1.0)
