import pytest

from consilience.schema.params.annotation import AnnotationParams


def test_a_lag_is_estimated_or_given() -> None:
    assert AnnotationParams().reaction_lag_s == "auto"
    assert AnnotationParams(reaction_lag_s=0).reaction_lag_s == 0
    for lag in (-1.0, "none"):
        with pytest.raises(ValueError, match="reaction_lag_s"):
            AnnotationParams(reaction_lag_s=lag)


@pytest.mark.parametrize(("name", "value"), [("source", "crowd"), ("scale", "nominal")])
def test_a_choice_that_is_not_offered_is_an_error(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        AnnotationParams(**{name: value})
