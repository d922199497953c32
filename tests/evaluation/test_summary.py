from __future__ import annotations

import io

from rich.console import Console

from consilience.evaluation.summary import headline, short_table


def test_the_table_fits_eighty_columns_and_shows_every_figure():
    names = ["all", "without_eeg", "without_audio", "without_video", "noise", "grid", "ece"]
    values = {name: 0.1 * place for place, name in enumerate(names, start=1)}
    values |= {f"{name}_low": 0.9 for name in names}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(short_table({"coherence_transfer": values, "concat": values}, 4, "concat"))
    lines = console.export_text().splitlines()
    row = next(line for line in lines if "coherence transfer" in line)
    assert row.split()[2:] == ["0.100", "0.200", "0.300", "0.400", "0.500", "0.600", "0.700"]
    assert any("no eeg" in line and "ECE" in line for line in lines)
    assert any("chance 0.250" in line for line in lines)


def test_the_headline_has_no_interval_and_no_other_metric() -> None:
    values = {"all": 0.8, "all_low": 0.7, "without_eeg": 0.7, "without_eeg_low": 0.6, "nll": 1.0}
    assert headline(values) == {"all": 0.8, "without_eeg": 0.7}
    full = headline({**values, "noise": 0.6, "grid": 0.5, "ece": 0.1})
    assert list(full) == ["all", "without_eeg", "noise", "grid", "ece"]
