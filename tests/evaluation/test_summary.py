from __future__ import annotations

import io

from rich.console import Console

from consilience.evaluation.summary import headline, short_table


def test_the_table_fits_eighty_columns_and_shows_every_figure() -> None:
    sensors = [f"{name}_features" for name in ("acc", "emg", "respiration", "temp", "ecg", "eda")]
    names = ["all", *(f"without_{name}" for name in sensors), "noise", "grid", "ece"]
    values = {name: 0.1 + 0.01 * place for place, name in enumerate(names)}
    values |= {f"{name}_low": 0.9 for name in names}
    methods = ("concat", "late_fusion", "hybrid", "coherence_transfer")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(short_table(dict.fromkeys(methods, values), 4, "concat"))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    rows = dict(line.strip().rsplit(maxsplit=4)[::4] for line in lines if line.count("0.") == 4)
    labels = ["all", *(f"no {name}" for name in sensors), "noise", "grid", "ECE"]
    assert rows == {label: f"{values[name]:.3f}" for label, name in zip(labels, names, strict=True)}
    assert any("late fusion" in line and "coherence transfer" in line for line in lines)
    assert any("chance 0.250" in line for line in lines)


def test_the_headline_has_no_interval_and_no_other_metric() -> None:
    values = {"all": 0.8, "all_low": 0.7, "without_eeg": 0.7, "without_eeg_low": 0.6, "nll": 1.0}
    assert headline(values) == {"all": 0.8, "without_eeg": 0.7}
    full = headline({**values, "noise": 0.6, "grid": 0.5, "ece": 0.1})
    assert list(full) == ["all", "without_eeg", "noise", "grid", "ece"]
