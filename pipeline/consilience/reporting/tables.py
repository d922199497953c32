"""Tables and sentences of the report, as HTML."""

from __future__ import annotations

from html import escape
from typing import Any

import polars as pl

from consilience.reporting.charts import said
from consilience.reporting.results import Results
from consilience.schema.tables import ALIGNMENT_STATUSES

INTERVAL = "95&nbsp;% interval"
OPEN_ROWS = 12  # a longer list of problems is folded

Figures = dict[str, float]


def verdict(results: Results) -> str:
    """Return the main answer in a sentence or two."""
    own = results.metrics[results.default]
    chance = 1 / len(results.meta["classes"])
    sensors = [said(name) for name in results.meta["modalities"]]
    text = (
        f"From {_and(sensors)}, <strong>{escape(said(results.default))}</strong> names the emotion "
        f"of people it has never met with a balanced accuracy of "
        f"<strong>{_percent(own['all'])}</strong> ({INTERVAL} {_percent(own['all_low'])} to "
        f"{_percent(own['all_high'])}; chance {_percent(chance)})."
    )
    rivals = [name for name in results.metrics if name != results.default]
    if rivals:
        best = max(rivals, key=lambda name: results.metrics[name]["all"])
        text += f" {_lead(own, best)}"
    return text


def _lead(own: Figures, rival: str) -> str:
    """Say how the default method stands to its best rival, and no more than the interval does."""
    lead, low, high = (100 * own[f"all_over_{rival}{end}"] for end in ("", "_low", "_high"))
    if low > 0:
        stand = "ahead of"
    elif high < 0:
        stand = "behind"
    else:
        stand = "not distinguishable from"
    points = f"{lead:+.1f} points, {INTERVAL} {low:+.1f} to {high:+.1f}".replace("-", "−")
    return (
        f"With every sensor at hand it is <strong>{stand}</strong> the best of the others, "
        f"{escape(said(rival))} ({points})."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}&nbsp;%"


def _and(names: list[str]) -> str:
    return escape(names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1])


def verdict_table(results: Results) -> str:
    """Return the table of methods by conditions, the best of each column in bold."""
    columns = {"all": "all sensors"}
    columns |= {f"without_{name}": f"without {said(name)}" for name in results.meta["modalities"]}
    columns |= {"noise": "under noise", "ece": "calibration error"}
    columns = {
        name: title for name, title in columns.items() if name in results.metrics[results.default]
    }
    best = {
        name: (min if name == "ece" else max)(own[name] for own in results.metrics.values())
        for name in columns
    }
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    rows = []
    for method in sorted(results.metrics, key=lambda name: name != results.default):
        own = results.metrics[method]
        cells = "".join(_cell(own, name, own[name] == best[name]) for name in columns)
        style = ' class="ours"' if method == results.default else ""
        rows.append(f"<tr{style}><th>{escape(said(method))}</th>{cells}</tr>")
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(own: Figures, name: str, is_best: bool) -> str:
    number = f"{100 * own[name]:.1f}"
    if is_best:
        number = f"<strong>{number}</strong>"
    if f"{name}_low" in own:
        number += f"<small>{100 * own[f'{name}_low']:.0f}–{100 * own[f'{name}_high']:.0f}</small>"
    return f"<td>{number}</td>"


def key_figures(results: Results) -> str:
    """Return what the run was made from, as short items."""
    usable = results.fates.filter(pl.col("fate") == "usable")
    items = {
        "subjects": f"{usable['subject'].n_unique()}",
        "sessions": f"{usable['session'].n_unique()}",
        "usable recordings": f"{usable.height} of {results.fates.height}",
        "hours": f"{float(usable['duration_s'].sum()) / 3600:.2f}",
        "windows tested": f"{results.readings.height}",
    }
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in items.items())
    return f"<dl>{cells}</dl>"


def problem_table(problems: pl.DataFrame) -> str:
    """Return everything that was wrong with the input, and what came of it."""
    if problems.is_empty():
        return "<p>Every recording could be used.</p>"
    rows = "".join(
        f"<tr><td>{escape(where)}</td><td>{escape(what)}</td><td>{escape(remedy)}</td></tr>"
        for where, what, remedy in problems.select("where", "what", "remedy").iter_rows()
    )
    shown = " open" if problems.height <= OPEN_ROWS else ""
    return (
        f"<details{shown}><summary>{problems.height} entries</summary>"
        '<div class="scroll"><table class="words"><thead><tr>'
        "<th>where</th><th>what</th><th>outcome or remedy</th></tr>"
        f"</thead><tbody>{rows}</tbody></table></div></details>"
    )


def affect_table(metrics: dict[str, Figures]) -> str:
    """Return concordance and error of valence and arousal, or nothing if none was learned."""
    targets = [name for name in ("valence", "arousal") if _any_has(metrics, f"{name}_ccc")]
    if not targets:
        return ""
    head = "".join(f"<th>{name}, CCC</th><th>{name}, RMSE</th>" for name in targets)
    rows = ""
    for method, own in metrics.items():
        cells = "".join(
            f"<td>{_number(own.get(f'{name}_{kind}'))}</td>"
            for name in targets
            for kind in ("ccc", "rmse")
        )
        rows += f"<tr><th>{escape(said(method))}</th>{cells}</tr>"
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


DIAGNOSES = {
    "guilty_auroc": "contradicting sensor named, AUROC",
    "faulty_auroc": "spoilt sensor named, AUROC",
    "incoherence_auroc": "contradiction noticed, AUROC",
    "out_of_distribution_auroc": "all sensors spoilt noticed, AUROC",
    "vacuity_spearman": "vacuity rises with severity, Spearman",
    "bolder": "surer than every sensor when they contradict",
}


def diagnosis_table(metrics: dict[str, Figures]) -> str:
    """Return how well each method tells what is wrong with its sensors, or nothing."""
    columns = {name: title for name, title in DIAGNOSES.items() if _any_has(metrics, name)}
    if not columns:
        return ""
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    rows = "".join(
        f"<tr><th>{escape(said(method))}</th>"
        + "".join(f"<td>{_number(own.get(name))}</td>" for name in columns)
        + "</tr>"
        for method, own in metrics.items()
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _any_has(metrics: dict[str, Figures], name: str) -> bool:
    return any(own.get(name) is not None for own in metrics.values())


def clock_table(alignment: pl.DataFrame) -> str:
    """Return how the clocks of each modality were found, and how surely."""
    rows = ""
    for (modality, method), own in alignment.group_by("modality", "method", maintain_order=True):
        counts = [int((own["status"] == status).sum()) for status in ALIGNMENT_STATUSES]
        resets = int(own.filter(pl.col("n_pieces") > 1).height)
        figures = [own["drift_ppm"].abs().max(), own["residual_ms"].median()]
        figures += [own["error_ms"].max(), own["confidence"].min()]
        cells = "".join(f"<td>{_brief(value)}</td>" for value in [*counts, resets, *figures])
        rows += f"<tr><th>{escape(said(str(modality)))}: {escape(str(method))}</th>{cells}</tr>"
    heads = "".join(
        f"<th>{head}</th>"
        for head in (
            "clock found by",
            *ALIGNMENT_STATUSES,
            "with resets",
            "largest drift, ppm",
            "median residual, ms",
            "largest standard error, ms",
            "least confidence",
        )
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _brief(value: Any) -> str:
    return "–" if value is None else f"{value:.3g}"


def agreement_table(summary: dict[str, Any]) -> str:
    """Return how far annotators agree, target by target, or nothing if none is known."""
    columns = {
        "krippendorff_alpha": "Krippendorff's α",
        "icc_single": "ICC of one annotator",
        "icc_mean": "ICC of their mean",
    }
    found: dict[str, Figures] = summary["agreement"]
    columns = {key: title for key, title in columns.items() if _any_has(found, key)}
    if not columns:
        return ""
    head = "".join(f"<th>{escape(title)}</th>" for title in columns.values())
    rows = "".join(
        f"<tr><th>{escape(target)}</th>"
        + "".join(f"<td>{_number(own.get(key))}</td>" for key in columns)
        + "</tr>"
        for target, own in found.items()
    )
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"


def contradictions(summary: dict[str, Any]) -> str:
    """Say how many labels go against the observers."""
    return (
        f"{summary['contradicted']} of {summary['labelled']} labelled windows have a label that "
        "its observers contradict: fewer of them name its class than another, or all of them rate "
        "higher, or lower."
    )


def truth_table(score: dict[str, Any]) -> str:
    """Return errors of clocks and labels of a synthetic corpus against its truth."""
    rows = ""
    for key, what in (("error_ms", "clock of"), ("between_ms", "out of step:")):
        for name, error in score["alignment"][key].items():
            cells = "".join(f"<td>{_number(error[part])}</td>" for part in ("median", "p95", "max"))
            names = " and ".join(map(said, name.split("-")))
            rows += f"<tr><th>{what} {escape(names)}</th>{cells}</tr>"
    labels = score["labels"]
    accuracy, majority = (
        "–" if labels[key] is None else _percent(labels[key])
        for key in ("accuracy", "accuracy_of_most_votes")
    )
    concordance = ", ".join(
        f"{name} {_number(value)} ({_number(labels['ccc_without_lag_correction'][name])} if "
        "annotators' reaction lag were ignored)"
        for name, value in labels["ccc"].items()
    )
    return (
        "<table><thead><tr><th>error, ms</th><th>median</th><th>95th percentile</th><th>largest"
        f"</th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p>The labels name the true emotion in {accuracy} of {labels['windows']} windows, most "
        f"votes in {majority}. The labels' Brier score is {_number(labels['brier'])}, the votes' "
        f"{_number(labels['brier_of_votes'])}; smaller is better. "
        f"Concordance with the true course: {escape(concordance)}.</p>"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
