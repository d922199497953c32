import pytest

from consilience.flows.progress import fraction_done


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ingest eeg: 30 of 120", ("ingest eeg", 25.0)),
        ("fold 2: epoch: 5 of 5", ("fold 2: epoch", 100.0)),
        ("nothing: 0 of 0", None),
        ("Running stage 'ingest@eeg':", None),
        ("accuracy: 3 of 4 people improved", None),
    ],
)
def test_lines_of_progress_are_percentages(line: str, expected: tuple[str, float] | None) -> None:
    assert fraction_done(line) == expected
