"""The report: one HTML page with everything inside it, which opens offline."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from consilience.reporting import charts, tables
from consilience.reporting.charts import FATE_COLOURS, Colours, said
from consilience.reporting.results import Results

STYLE = """
:root { color-scheme: light dark; --ink: #1d1f22; --soft: #63676d; --paper: #fdfdfb;
  --line: #e2e2dd; --tint: #d55e0014; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e3; --soft: #9a9da3; --paper: #17181a;
  --line: #303236; --tint: #d55e0030; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.1rem; font-weight: 600; margin: 0 0 .75rem; letter-spacing: .01em; }
h1 span { color: var(--soft); font-weight: 400; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 3.5rem 0 .5rem; }
h3 { font-size: .95rem; font-weight: 600; margin: 0 0 .25rem; }
section > div { margin-top: 1.5rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; }
p.lead { font-size: 1.2rem; line-height: 1.45; max-width: 52rem; }
.note { color: var(--soft); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem .4rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 500; } thead th { color: var(--soft); font-size: .82rem; vertical-align: bottom; }
th:first-child, .words th, .words td { text-align: left; }
th:first-child, td:first-child { padding-left: .5rem; } tbody th { white-space: nowrap; }
td small { display: block; color: var(--soft); font-size: .75rem; }
tr.ours > * { background: var(--tint); }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2.25rem; margin: 1.5rem 0 0; }
dt { color: var(--soft); font-size: .8rem; } dd { margin: 0; font-size: 1.15rem; }
.grid { display: grid; gap: 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }
.grid > * { min-width: 0; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0 1rem; padding: 0;
  list-style: none; font-size: .9rem; color: var(--soft); }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 50%;
  margin-right: .4em; vertical-align: -.05em; }
@media (max-width: 40rem) { body { padding: 1.25rem 1rem 3rem; } p.lead { font-size: 1.08rem; }
  th, td { padding-right: .45rem; } table { font-size: .86rem; }
  thead th { font-size: .7rem; } tbody th { white-space: normal; } td small { font-size: .66rem; }
}
"""

DRAW = """
for (const box of document.querySelectorAll(".figure")) {
  const figure = JSON.parse(box.firstElementChild.textContent);
  Plotly.newPlot(box, figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
"""


def render(results: Results) -> str:
    """Return the page; the same results give the same bytes."""
    dataset = escape(results.meta["dataset"])
    sections = [
        _robustness(results),
        _trust(results),
        _readings(results),
        _recordings(results),
        _alignment(results),
        _labels(results),
        _training(results),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Consilience: {dataset}</title>\n<style>{STYLE}</style>\n"
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        f"<header>\n<h1>Consilience <span>· {dataset}</span></h1>\n"
        f'<p class="lead">{tables.verdict(results)}</p>\n'
        f'<div class="scroll">{tables.verdict_table(results)}</div>\n'
        '<p class="note">Balanced accuracy on subjects kept out of training, in per cent, with '
        "95&nbsp;% intervals over subjects below. Noise: mean over sensors, kinds and severities. "
        "Calibration error: how far confidence is from accuracy, smaller is better. "
        "Best of each column in bold.</p>\n"
        f"{tables.key_figures(results)}\n</header>\n"
        + "\n".join(filter(None, sections))
        + f"\n<script>{DRAW}</script>\n</body>\n</html>\n"
    )


def _robustness(results: Results) -> str:
    colours, chance = _methods(results), 1 / len(results.meta["classes"])
    kinds = results.noise.select("modality", "kind").unique(maintain_order=True)
    curves = [
        _plot(f"noise-{name}-{kind}", charts.noise(results.noise, name, kind, colours, chance))
        for name, kind in kinds.iter_rows()
    ]
    conflicts = (
        _plot("conflicts", charts.conflicts(results.conflicts, colours, chance))
        if results.conflicts.height
        else ""
    )
    return _section(
        "When sensors are missing, spoilt or contradictory",
        "One model of each method, tested with every set of sensors, with each sensor spoilt in "
        "every way at five severities, and with one sensor that shows another person in another "
        "state. The dotted line is chance; bars and the band are 95&nbsp;% intervals over "
        "subjects.",
        _legend(colours),
        _plot("subsets", charts.subsets(results.subsets, colours, chance)),
        conflicts,
        f'<div class="scroll">{tables.diagnosis_table(results.metrics)}</div>',
        _grid(curves),
    )


def _trust(results: Results) -> str:
    colours = _methods(results)
    plots = [
        _titled(
            "Is its confidence honest?",
            _plot("reliability", charts.reliability(results.reliability, colours)),
        ),
        _titled(
            f"What {said(results.default)} takes for what",
            _plot("confusion", charts.confusion(results.readings, results.meta["classes"])),
        ),
    ]
    return _section(
        "Confidence and confusion",
        "With every sensor the window has. On the dotted diagonal, confidence equals accuracy; "
        "larger points hold more predictions.",
        _legend(colours),
        _grid(plots),
        f'<div class="scroll">{tables.affect_table(results.metrics)}</div>',
    )


def _readings(results: Results) -> str:
    colours = charts.plain_colours(results.meta["classes"])
    uncertain = results.readings.drop_nulls(["vacuity", "coherence"]).height > 0
    scatter = (
        _titled("Right and wrong", _plot("coherence", charts.coherence_map(results.readings)))
        if uncertain
        else ""
    )
    return _section(
        "Window by window",
        f"What {escape(said(results.default))} reads in every test window. Vacuity is the evidence "
        "that is lacking, coherence the agreement of the sensors: low coherence points to a "
        "sensor, high vacuity at high coherence to an expression that is hard to name.",
        _legend(colours),
        _plot("timeline", charts.timeline(results.readings, colours)),
        scatter,
    )


def _recordings(results: Results) -> str:
    matrices = [
        _titled(said(name), _plot(f"availability-{name}", charts.availability(results.fates, name)))
        for name in results.meta["modalities"]
    ]
    colours = charts.plain_colours(results.meta["modalities"])
    return _section(
        "Recordings",
        "What became of every recording, subject by subject and session by session, and how good "
        "the usable ones are, from 0 to 1 by each sensor's own measure.",
        _legend(FATE_COLOURS),
        _grid(matrices),
        _titled("Quality", _plot("quality", charts.quality(results.fates, colours))),
        _titled("Left out, and why", tables.problem_table(results.problems)),
    )


def _alignment(results: Results) -> str:
    colours = charts.plain_colours(results.meta["modalities"])
    if results.alignment["residual_ms"].drop_nulls().is_empty():
        told = "The recordings of a session share one clock; there was nothing to align."
        return _section("Clocks", told)
    truth = [
        _titled(
            f"Against the truth of corpus {escape(corpus)}",
            f'<div class="scroll">{tables.truth_table(score)}</div>',
        )
        for corpus, score in results.scores.items()
    ]
    plots = [
        _titled(
            "Distance of anchors from the fitted clock",
            _plot("residuals", charts.residuals(results.alignment, colours)),
        ),
        _titled(
            "Along the session",
            _plot("anchors", charts.residuals_over_time(results.anchors, colours)),
        ),
        _titled("Clocks found", _plot("clocks", charts.clocks(results.alignment, colours))),
    ]
    return _section(
        "Clocks",
        "Each device's clock is found from the best evidence its recording holds of the session's "
        "own, as an offset and a drift, anew after every reset. A recording takes part only where "
        "its clock is surely right within the tolerance.",
        f'<div class="scroll">{tables.clock_table(results.alignment)}</div>',
        _grid(plots),
        *truth,
    )


def _labels(results: Results) -> str:
    classes = results.meta["classes"]
    colours = charts.plain_colours(classes)
    plots = [
        _titled(
            "Leading class",
            _plot("classes", charts.class_counts(results.labels, classes, colours)),
        ),
        _titled("Subjects by fold", _plot("folds", charts.folds(results.splits))),
    ]
    if results.labels["agreement"].drop_nulls().len():
        plots.insert(1, _titled("Agreement", _plot("agreement", charts.agreement(results.labels))))
    return _section(
        "Labels and folds",
        "Windows by the class most likely from what annotators say, and who is trained on (grey), "
        "validated on (blue) and tested on (orange) in each fold. No subject is in two roles at "
        f"once. {tables.contradictions(results.label_summary)}",
        f'<div class="scroll">{tables.agreement_table(results.label_summary)}</div>',
        _grid(plots),
        *_annotators(results),
    )


def _annotators(results: Results) -> list[str]:
    """Return what is known of the annotators, if there is more than one to compare."""
    parts = []
    if results.annotators["reliability"].drop_nulls().len():
        targets = results.annotators["target"].unique(maintain_order=True).to_list()
        colours = charts.plain_colours(targets)
        plot = charts.annotator_reliability(results.annotators, colours)
        parts += [_titled("How reliable each annotator is", _plot("annotators", plot))]
        text = (
            "Of classes, the probability of naming the one that all together find most likely; of "
            "ratings, the correlation with the mean of the others."
        )
        parts += [f'<p class="note">{text}</p>{_legend(colours)}']
    pair = []
    if results.annotators["lag_s"].drop_nulls().len():
        lags = _plot("lags", charts.reaction_lags(results.annotators))
        pair.append(_titled("How late each annotator reacts", lags))
    if results.annotators["correlation"].drop_nulls().len():
        gains = _plot("lag-gains", charts.lag_gains(results.annotators))
        pair.append(_titled("What taking the lags off brings, from grey to orange", gains))
    if results.confusions.height:
        classes = results.meta["classes"]
        plot = charts.annotator_confusion(results.confusions, classes)
        pair.append(_titled("What annotators name each class", _plot("annotator-confusion", plot)))
    return [*parts, _grid(pair)] if pair else parts


def _training(results: Results) -> str:
    plots = [
        _titled(said(name), _plot(f"training-{name}", charts.training(history)))
        for name, history in results.histories.items()
    ]
    return _section(
        "Training",
        "Median and quartiles over the folds and seeds still in training. The training loss "
        "holds every term of a method and the augmentations, hence an axis of its own.",
        _grid(plots),
    )


def _methods(results: Results) -> Colours:
    return charts.method_colours(list(results.metrics), results.default)


def _section(title: str, text: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n<p>{text}</p>\n" + "\n".join(parts) + "\n</section>"


def _grid(parts: Iterable[str]) -> str:
    return f'<div class="grid">{"".join(parts)}</div>'


def _titled(title: str, content: str) -> str:
    return f"<div><h3>{escape(title)}</h3>{content}</div>"


def _legend(colours: Colours) -> str:
    items = "".join(
        f'<li><i style="background: {colour}"></i>{escape(said(name))}</li>'
        for name, colour in colours.items()
    )
    return f'<ul class="legend">{items}</ul>'


def _plot(name: str, figure: go.Figure) -> str:
    """Return an empty box and its figure's data, which `DRAW` draws once the page is laid out."""
    data = figure.to_json().replace("<", "\\u003c")
    return (
        f'<div class="figure" id="figure-{name}" style="height: {figure.layout.height}px">'
        f'<script type="application/json">{data}</script></div>'
    )
