"""Subject-independent folds, from the names of the subjects only."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import seed_from
from consilience.core.wording import counted
from consilience.schema.params.windows import SplitParams
from consilience.schema.tables import Splits, frame_of


def split(subjects: Iterable[str], params: SplitParams) -> pl.DataFrame:
    """Assign every subject one role in every fold.

    Subjects are dealt to the folds in the order of the hashes of their names, so that the folds
    depend neither on the order of the data nor on anything measured. Each subject is tested in
    exactly one fold; the validation subjects of a fold are the first test subjects of the folds
    after it.

    Parameters
    ----------
    subjects : iterable of str
        Names; repetitions are ignored.
    params : SplitParams
        Number of folds and of validation subjects.

    Returns
    -------
    polars.DataFrame
        Table `Splits`, sorted by fold and subject.

    Raises
    ------
    ConsilienceError
        If there are too few subjects to test, validate and train in every fold.
    """
    ordered = sorted(set(subjects), key=lambda name: (seed_from("split", name), name))
    n_test = -(-len(ordered) // params.folds)
    if len(ordered) < max(params.folds, n_test + params.validation_subjects + 1):
        raise ConsilienceError(
            f"{counted(len(ordered), 'subject')} with usable windows: too few for "
            f"{params.folds} folds "
            f"that each keep {params.validation_subjects} for validation",
            "params.yaml: splits",
            "set fewer folds or validation_subjects, or add subjects",
        )
    rows: list[dict[str, object]] = []
    for fold in range(params.folds):
        test, *later = [
            ordered[(fold + step) % params.folds :: params.folds] for step in range(params.folds)
        ]
        rest = [subject for group in later for subject in group]
        validation = rest[: params.validation_subjects]
        roles = dict.fromkeys(ordered, "train")
        roles |= dict.fromkeys(validation, "validation") | dict.fromkeys(test, "test")
        rows += [{"fold": fold, "subject": name, "role": role} for name, role in roles.items()]
    return frame_of(rows, Splits).sort("fold", "subject")
