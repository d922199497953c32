import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError
from consilience.schema.params.windows import SplitParams
from consilience.schema.tables import Splits
from consilience.windows.splits import split

names = st.sets(st.text(min_size=1, max_size=6), min_size=8, max_size=30)


@given(subjects=names, folds=st.integers(2, 5), validation=st.integers(1, 3))
def test_every_subject_is_tested_once_and_has_one_role_a_fold(
    subjects: set[str], folds: int, validation: int
) -> None:
    table = split(subjects, SplitParams(folds=folds, validation_subjects=validation))
    Splits.validate(table)
    assert not table.select("fold", "subject").is_duplicated().any()
    assert table.height == folds * len(subjects)
    tested = table.filter(pl.col("role") == "test")["subject"]
    assert sorted(tested) == sorted(subjects)
    for (_,), fold in table.group_by("fold"):
        counts = dict(fold["role"].value_counts().iter_rows())
        assert counts["validation"] == validation
        assert counts["train"] >= 1


@given(subjects=names, seed=st.integers())
def test_order_and_repetition_do_not_matter(subjects: set[str], seed: int) -> None:
    shuffled = sorted(subjects) * 2
    random.Random(seed).shuffle(shuffled)
    params = SplitParams(folds=3, validation_subjects=1)
    assert split(shuffled, params).equals(split(sorted(subjects), params))


def test_folds_have_equal_sizes_and_validate_every_subject_once() -> None:
    subjects = [f"actor-{number:02d}" for number in range(18)]
    table = split(subjects, SplitParams(folds=6, validation_subjects=3))
    test = table.filter(pl.col("role") == "test")
    assert test.group_by("fold").len()["len"].to_list() == [3] * 6
    validated = table.filter(pl.col("role") == "validation")["subject"]
    assert sorted(validated) == subjects


@pytest.mark.parametrize(("n", "folds", "validation"), [(3, 4, 1), (4, 2, 2), (0, 2, 1)])
def test_too_few_subjects_are_an_error(n: int, folds: int, validation: int) -> None:
    with pytest.raises(ConsilienceError, match=rf"{n} subjects .* too few for {folds} folds"):
        split(
            [f"sub-{i}" for i in range(n)],
            SplitParams(folds=folds, validation_subjects=validation),
        )
