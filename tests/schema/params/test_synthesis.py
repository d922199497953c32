import pytest

from consilience.schema.params.synthesis import SynthesisParams


@pytest.mark.parametrize(
    ("name", "value"),
    [("subjects", 0), ("trial_s", 0.5), ("missing_fraction", 0.4), ("max_offset_s", -1)],
)
def test_a_corpus_that_cannot_be_simulated_is_an_error(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        SynthesisParams(**{name: value})
