import pytest

from consilience.schema.params.training import TrainingParams


@pytest.mark.parametrize(
    ("name", "value"),
    [("seeds", []), ("epochs", 0), ("dropout", 1.0), ("learning_rate", 0.0), ("head", "deep")],
)
def test_a_budget_that_cannot_be_trained_with_is_an_error(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TrainingParams(**{name: value})
