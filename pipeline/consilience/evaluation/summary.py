"""The evaluation in one short table."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table


def short_table(
    metrics: Mapping[str, Mapping[str, float]], n_classes: int, highlighted: str
) -> Table:
    """Build the table of results: all sensors, each missing, noise, calibration.

    Parameters
    ----------
    metrics : mapping of method to mapping of metric to value
        As in ``data/evaluation/metrics.json``.
    n_classes : int
        For the level of chance.
    highlighted : str
        The method to set in bold.

    Returns
    -------
    rich.table.Table
        A row per method; fits 80 columns with three sensors.
    """
    names = list(next(iter(metrics.values())))
    missing = [
        name
        for name in names
        if name.startswith("without_") and not name.endswith(("_low", "_high"))
    ]
    columns: dict[str, str] = {
        "all": "all",
        **{name: name.replace("without_", "no ") for name in missing},
        **{name: name for name in ("noise", "grid") if name in names},
        "ece": "ECE",
    }
    table = Table(
        title="Balanced accuracy on unseen subjects",
        caption=f"chance {1 / n_classes:.3f}; noise: mean over sensors, kinds and severities; "
        "grid: mean over subsets, noise and mismatches; ECE: calibration error, all sensors",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("method", no_wrap=True)
    for heading in columns.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for method, values in metrics.items():
        table.add_row(
            method.replace("_", " "),
            *(f"{values[name]:.3f}" for name in columns),
            style="bold" if method == highlighted else "",
        )
    return table
