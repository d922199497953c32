"""The evaluation in one short table."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.table import Table


def headline(values: Mapping[str, float]) -> dict[str, float]:
    """Return the few metrics that sum a method up, of all that ``metrics.json`` has.

    Parameters
    ----------
    values : mapping of metric to value
        Of one method.

    Returns
    -------
    dict of str to float
        Balanced accuracy with all sensors (``all``), without each (``without_<modality>``), with
        one corrupted (``noise``) and over the grid (``grid``); calibration error (``ece``).
    """
    missing = [
        name
        for name in values
        if name.startswith("without_") and not name.endswith(("_low", "_high"))
    ]
    names = ["all", *missing, "noise", "grid", "ece"]
    return {name: values[name] for name in names if name in values}


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
        A row per figure and a column per method; fits 80 columns with four methods, whatever the
        number of sensors.
    """
    table = Table(
        title="Balanced accuracy on unseen subjects",
        caption=f"chance {1 / n_classes:.3f}; noise: mean over sensors, kinds and severities; "
        "grid: mean over subsets, noise and mismatches; ECE: calibration error, all sensors",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("", no_wrap=True)
    for method in metrics:
        style = "bold" if method == highlighted else ""
        table.add_column(method.replace("_", " "), justify="right", style=style)
    for name in headline(next(iter(metrics.values()))):
        label = "ECE" if name == "ece" else name.replace("without_", "no ")
        table.add_row(label, *(f"{values[name]:.3f}" for values in metrics.values()))
    return table
