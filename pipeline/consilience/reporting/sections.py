"""Contents of the report's sections: a function each, for the template of the same name."""

from __future__ import annotations

from typing import Any

from consilience.evaluation import contradictions
from consilience.reporting import tables
from consilience.reporting.charts import annotators as annotator_charts
from consilience.reporting.charts import clocks as clock_charts
from consilience.reporting.charts import coherence as coherence_charts
from consilience.reporting.charts import confidence as confidence_charts
from consilience.reporting.charts import labels as label_charts
from consilience.reporting.charts import recordings as recording_charts
from consilience.reporting.charts import robustness as robustness_charts
from consilience.reporting.charts import style
from consilience.reporting.charts import training as training_charts
from consilience.reporting.charts import windows as window_charts
from consilience.reporting.figure import Chart, chart
from consilience.reporting.results import Results
from consilience.reporting.words import enumerated, percent, readable

Context = dict[str, Any]

__all__ = ["Chart", "Context", "chart"]


def verdict(results: Results) -> Context:
    """Return the default method's accuracy and its comparison with the best other method."""
    values = results.metrics[results.default_method]
    rivals = [name for name in results.metrics if name != results.default_method]
    best = max(rivals, key=lambda name: results.metrics[name]["all"]) if rivals else None
    return {
        "sensors": enumerated([readable(name) for name in results.meta["modalities"]]),
        "method": results.default_method,
        "accuracy": values["all"],
        "low": tables.limited(values["all_low"]),
        "high": tables.limited(values["all_high"]),
        "chance": _chance(results),
        "rival": best and _comparison(values, best),
        "table": tables.methods(results),
        "counts": tables.counts(results),
    }


def _comparison(values: tables.Metrics, rival: str) -> Context:
    """Compare the default method with `rival`; the interval decides on the wording."""
    lead, low, high = (values[f"all_over_{rival}{end}"] for end in ("", "_low", "_high"))
    if low > 0:
        comparison = "ahead of"
    elif high < 0:
        comparison = "behind"
    else:
        comparison = "not distinguishable from"
    return {"method": rival, "comparison": comparison, "lead": lead, "low": low, "high": high}


def robustness(results: Results) -> Context:
    """Return accuracy with missing, corrupted and mismatched sensors, and their detection."""
    colours, chance = _method_colours(results), _chance(results)
    kinds = results.noise.select("modality", "kind").unique(maintain_order=True)
    mismatch = results.mismatch
    extent = robustness_charts.extent([results.subsets, mismatch, results.noise], chance)
    return {
        "colours": colours,
        "subsets": chart(
            "subsets",
            robustness_charts.subsets(results.subsets, colours, chance, extent),
            results.subsets,
        ),
        "mismatch": chart(
            "mismatch", robustness_charts.mismatch(mismatch, colours, chance, extent), mismatch
        )
        if mismatch.height
        else None,
        "diagnoses": tables.diagnoses(results.metrics, results.default_method),
        "noise": [
            (
                modality,
                kind,
                chart(
                    f"noise-{modality}-{kind}",
                    robustness_charts.noise(results.noise, modality, kind, colours, chance, extent),
                    results.noise.filter(modality=modality, kind=kind),
                ),
            )
            for modality, kind in kinds.iter_rows()
        ],
    }


def confidence(results: Results) -> Context:
    """Return calibration, confusion, errors of valence and arousal, and coverage."""
    colours, classes = _method_colours(results), results.meta["classes"]
    return {
        "colours": colours,
        "reliability": chart(
            "reliability",
            confidence_charts.reliability(results.reliability, colours),
            results.reliability,
        ),
        "confusion": chart("confusion", confidence_charts.confusion(results.predictions, classes)),
        "affect": tables.affect(results.metrics, results.default_method),
        "coverage": tables.coverage(results.metrics, results.default_method),
        "aim": results.coverage,
    }


def windows(results: Results) -> Context:
    """Return the default method's predictions, window by window."""
    colours = style.class_colours(results.meta["classes"])
    drawn = window_charts.first_groups(results.predictions)
    # A method without an uncertainty decomposition leaves both columns empty.
    has_uncertainty = results.predictions.drop_nulls(["vacuity", "coherence"]).height > 0
    return {
        "colours": colours,
        "timeline": chart("timeline", window_charts.timeline(drawn, colours), drawn),
        "n_drawn": drawn.height,
        "n_windows": results.predictions.height,
        "coherence": chart("coherence", window_charts.coherence(results.predictions))
        if has_uncertainty
        else None,
    }


def coherence(results: Results) -> Context | None:
    """Return the recordings whose sensors contradict each other; None with a single sensor."""
    table = results.recording_coherence
    if table.is_empty():
        return None
    colours = style.sensor_colours(results.meta["modalities"])
    listed = contradictions.contradictions(table)
    return {
        "colours": colours,
        "total": table["session"].n_unique(),
        "contradictions": [
            (
                item.session,
                item.windows,
                item.suspects(readable),
                percent(item.probability),
                item.shifts(readable),
            )
            for item in listed
        ],
        "chart": chart(
            "agreement-of-recordings", coherence_charts.agreement(table, colours), table
        ),
    }


def recordings(results: Results) -> Context:
    """Return status and quality of the recordings, and the problems and findings of the input."""
    modalities = results.meta["modalities"]
    colours = style.sensor_colours(modalities)
    return {
        "colours": style.STATUS_COLOURS,
        "availability": {
            name: chart(
                f"availability-{name}", recording_charts.availability(results.recordings, name)
            )
            for name in modalities
        },
        "quality": chart(
            "quality",
            recording_charts.quality(results.recordings, colours),
            results.recordings.select("recording", "modality", "quality").drop_nulls("quality"),
        ),
        "problems": results.problems.rows(),
        "findings": results.findings.rows(),
    }


def clocks(results: Results) -> Context | None:
    """Return the clock estimates and their errors; None if no clock was estimated."""
    if results.alignment["residual_ms"].drop_nulls().is_empty():
        return None
    colours = style.sensor_colours(results.meta["modalities"])
    along_session = clock_charts.residuals_over_time(results.anchors, colours)
    return {
        "table": tables.clocks(results.alignment),
        "residuals": chart("residuals", clock_charts.residuals(results.alignment, colours)),
        "anchors": chart("anchors", along_session),
        "estimates": chart("clocks", clock_charts.clocks(results.alignment, colours)),
        "truth": {
            corpus: {"errors": tables.clock_errors(score["alignment"]), "labels": score["labels"]}
            for corpus, score in results.scores.items()
        },
    }


def labels(results: Results) -> Context:
    """Return classes, agreement and folds of the windows, and the annotators' reliability."""
    classes, summary = results.meta["classes"], results.label_summary
    colours = style.class_colours(classes)
    has_agreement = results.labels["agreement"].drop_nulls().len() > 0
    return {
        "labelled": summary["labelled"],
        "contradicted": summary["contradicted"],
        "contrary": summary.get("contrary_annotators", []),
        "agreement_table": tables.agreement(summary),
        "classes": chart("classes", label_charts.class_counts(results.labels, classes, colours)),
        "agreement": chart("agreement", label_charts.agreement(results.labels))
        if has_agreement
        else None,
        "folds": chart("folds", label_charts.folds(results.splits), results.splits),
        "roles": style.ROLE_COLOURS,
    } | _annotators(results)


def _annotators(results: Results) -> Context:
    """Return the annotators' charts; None for each that the labels are insufficient for."""
    table, classes = results.annotators, results.meta["classes"]
    targets = style.distinct_colours(table["target"].unique(maintain_order=True).to_list())

    def has(column: str) -> bool:
        return table[column].drop_nulls().len() > 0

    return {
        "targets": targets,
        "reliability": chart("annotators", annotator_charts.reliability(table, targets), table)
        if has("reliability")
        else None,
        "lags": chart("lags", annotator_charts.reaction_lags(table)) if has("lag_s") else None,
        "lag_gains": chart("lag-gains", annotator_charts.lag_gains(table))
        if has("correlation")
        else None,
        "confusion": chart(
            "annotator-confusion", annotator_charts.confusion(results.confusions, classes)
        )
        if results.confusions.height
        else None,
    }


def training(results: Results) -> Context:
    """Return the training curves by method."""
    figures = {
        name: training_charts.training(history) for name, history in results.histories.items()
    }
    style.share_range(list(figures.values()))  # the validation loss is the same for all methods
    return {
        "colours": {style.LOSS_NAMES[key]: colour for key, colour in style.LOSS_COLOURS.items()},
        "charts": {
            name: chart(f"training-{name}", figure, results.histories[name])
            for name, figure in figures.items()
        },
    }


def _method_colours(results: Results) -> style.Colours:
    return style.method_colours(list(results.metrics), results.default_method)


def _chance(results: Results) -> float:
    return 1 / len(results.meta["classes"])
