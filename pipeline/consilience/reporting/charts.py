"""Figures of the report: each takes a table and returns a plotly figure.

Backgrounds are transparent and lines grey enough to be read on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.results import RecordingStatus
from consilience.reporting.words import readable
from consilience.schema.tables import ROLES

# Okabe and Ito's palette, which the colour-blind can tell apart (jfly.uni-koeln.de/color).
ACCENT = "#d55e00"
PALETTE = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MORE = ("#8c6d31", "#6a4fa3")
GREY = "#85898f"
MOST_POINTS = 4000  # of one trace
FAINT = "rgba(133, 137, 143, 0.25)"
STATUSES = [str(status) for status in RecordingStatus]
STATUS_COLOURS = dict(zip(STATUSES, ("#009e73", "#e69f00", ACCENT, FAINT), strict=True))
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
MOST_ANNOTATORS = 40  # a crowd does not fit on a page

Colours = dict[str, str]


def method_colours(methods: Sequence[str], default: str) -> Colours:
    """Give the default method the accent and every other one a colour of its own."""
    others = zip((name for name in methods if name != default), cycle(PALETTE), strict=False)
    return {default: ACCENT} | dict(others)


def distinct_colours(names: Sequence[str]) -> Colours:
    """Give every name a colour of its own."""
    return dict(zip(names, cycle((*PALETTE, ACCENT, *MORE)), strict=False))


def _figure(traces: Sequence[Any], height: int, **layout: Any) -> go.Figure:
    axis = {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
        "title": {"standoff": 8},
    }
    figure = go.Figure(traces)
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": FONT, "size": 13, "color": GREY},
        showlegend=False,
        xaxis=axis,
        yaxis=axis,
    )
    return figure.update_layout(**layout)


def _rgba(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def subsets(table: pl.DataFrame, colours: Colours, chance: float) -> go.Figure:
    """Show balanced accuracy with 95 % interval by subset of sensors and method."""
    names = (
        table.select("subset", "n_modalities")
        .unique(maintain_order=True)
        .sort("n_modalities", maintain_order=True)["subset"]
        .to_list()
    )
    titles = {name: " + ".join(map(readable, name.split("+"))) for name in names}
    return _by_row(table, "subset", titles, colours, chance)


def mismatch(table: pl.DataFrame, colours: Colours, chance: float) -> go.Figure:
    """Show balanced accuracy with 95 % interval by mismatched sensor."""
    names = table["modality"].unique(maintain_order=True).to_list()
    titles = {name: f"{readable(name)} mismatched" for name in names}
    return _by_row(table, "modality", titles, colours, chance)


def _by_row(
    table: pl.DataFrame, column: str, titles: dict[str, str], colours: Colours, chance: float
) -> go.Figure:
    row = {name: number for number, name in enumerate(titles)}
    step = 0.7 / max(1, len(colours))
    traces = []
    for number, (method, colour) in enumerate(reversed(list(colours.items()))):
        own = table.filter(pl.col("method") == method)
        shift = (number - (len(colours) - 1) / 2) * step
        traces.append(
            go.Scatter(
                x=own["balanced_accuracy"].to_list(),
                y=[row[name] + shift for name in own[column]],
                error_x={
                    "array": (own["high"] - own["balanced_accuracy"]).to_list(),
                    "arrayminus": (own["balanced_accuracy"] - own["low"]).to_list(),
                    "thickness": 1.5,
                    "width": 0,
                },
                mode="markers",
                marker={"color": colour, "size": 8},
                name=readable(method),
                text=[titles[name] for name in own[column]],
                hovertemplate="%{text}<br>%{x:.1%}",
            )
        )
    figure = _figure(traces, 60 + len(titles) * (24 + 13 * len(colours)))
    figure.add_vline(chance, line={"dash": "dot", "color": GREY, "width": 1})
    figure.update_xaxes(title_text="balanced accuracy", tickformat=".0%")
    figure.update_yaxes(tickvals=list(row.values()), ticktext=list(titles.values()), showgrid=False)
    return figure


def noise(
    table: pl.DataFrame, modality: str, kind: str, colours: Colours, chance: float
) -> go.Figure:
    """Show balanced accuracy against the severity of one kind of corruption of one sensor."""
    of_kind = table.filter(pl.col("modality") == modality, pl.col("kind") == kind)
    traces = []
    for method, colour in reversed(list(colours.items())):
        own = of_kind.filter(pl.col("method") == method).sort("severity")
        severity = own["severity"].to_list()
        if colour == ACCENT:
            traces.append(_band(severity, own["low"].to_list(), own["high"].to_list(), colour))
        traces.append(
            go.Scatter(
                x=severity,
                y=own["balanced_accuracy"].to_list(),
                mode="lines+markers",
                line={"color": colour, "width": 3 if colour == ACCENT else 1.5},
                name=readable(method),
                hovertemplate="%{y:.1%}",
            )
        )
    figure = _figure(traces, 260)
    figure.add_hline(chance, line={"dash": "dot", "color": GREY, "width": 1})
    bottom = min(chance, *table["low"].to_list()) - 0.03
    top = min(1.0, max(table["high"].to_list()) + 0.03)
    figure.update_xaxes(title_text=f"{readable(modality)}: severity of {readable(kind)}", dtick=1)
    figure.update_yaxes(tickformat=".0%", range=[bottom, top])
    return figure


def _band(x: list[Any], low: list[Any], high: list[Any], colour: str) -> go.Scatter:
    return go.Scatter(
        x=x + x[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=_rgba(colour, 0.18),
        line={"width": 0},
        hoverinfo="skip",
    )


def reliability(table: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show accuracy against stated confidence; on the diagonal, confidence is honest."""
    traces = [
        go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"dash": "dot", "color": GREY, "width": 1},
            hoverinfo="skip",
        )
    ]
    for method, colour in reversed(list(colours.items())):
        own = table.filter(pl.col("method") == method)
        share = own["predictions"] / max(1, own["predictions"].sum())
        traces.append(
            go.Scatter(
                x=own["confidence"].to_list(),
                y=own["accuracy"].to_list(),
                mode="lines+markers",
                line={"color": colour, "width": 3 if colour == ACCENT else 1.5},
                marker={"size": [4 + 20 * part**0.5 for part in share], "opacity": 0.7},
                name=readable(method),
                customdata=own["predictions"].to_list(),
                hovertemplate="said %{x:.0%}, was %{y:.0%}<br>%{customdata} predictions",
            )
        )
    figure = _figure(traces, 340)
    figure.update_xaxes(title_text="confidence", tickformat=".0%", range=[0, 1.02])
    figure.update_yaxes(title_text="accuracy", tickformat=".0%", range=[0, 1.02])
    return figure


def confusion(predictions: pl.DataFrame, classes: Sequence[str]) -> go.Figure:
    """Show what each class was taken for, in per cent of its windows."""
    known = predictions.drop_nulls(["actual", "predicted"])
    counts = dict(
        ((actual, predicted), count)
        for actual, predicted, count in known.group_by("actual", "predicted").len().iter_rows()
    )
    rows = []
    for actual in classes:
        row = [counts.get((actual, predicted), 0) for predicted in classes]
        rows.append([count / max(1, sum(row)) for count in row])
    heat = go.Heatmap(
        z=rows,
        x=[readable(name) for name in classes],
        y=[readable(name) for name in classes],
        zmin=0,
        zmax=1,
        colorscale=[[0, _rgba(ACCENT, 0)], [1, _rgba(ACCENT, 1)]],
        showscale=False,
        texttemplate="%{z:.0%}",
        hovertemplate="%{y} taken for %{x}: %{z:.1%}<extra></extra>",
        xgap=2,
        ygap=2,
    )
    figure = _figure([heat], 340)
    figure.update_xaxes(title_text="predicted", showgrid=False)
    figure.update_yaxes(title_text="labelled", showgrid=False, autorange="reversed")
    return figure


def coherence(predictions: pl.DataFrame) -> go.Figure:
    """Show every test window by vacuity and coherence, right and wrong ones."""
    known = predictions.drop_nulls(["actual", "vacuity", "coherence"])
    right = known["actual"] == known["predicted"]
    traces = [
        go.Scatter(
            x=part["vacuity"].to_list(),
            y=part["coherence"].to_list(),
            mode="markers",
            marker={"color": colour, "size": 6, "opacity": 0.7},
            name=name,
            text=part["window"].to_list(),
            hovertemplate="%{text}",
        )
        for name, colour, part in (
            ("right", PALETTE[0], known.filter(right)),
            ("wrong", ACCENT, known.filter(~right)),
        )
    ]
    figure = _figure(
        traces, 340, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    figure.update_xaxes(title_text="vacuity")
    figure.update_yaxes(title_text="coherence")
    return figure


def timeline(predictions: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the predictions of one session after another, chosen from a list.

    Where sessions are single windows, a subject's windows follow one another instead.
    """
    per_session = predictions.group_by("session").len()["len"].max() or 0
    group = "session" if isinstance(per_session, int) and per_session > 2 else "subject"
    names = predictions[group].unique().sort().to_list()
    lines = {"vacuity": PALETTE[0], "coherence": PALETTE[1], "confidence": GREY}
    traces: list[Any] = []
    for number, name in enumerate(names):
        own = predictions.filter(pl.col(group) == name).sort("session", "start_s")
        times = own["start_s"].to_list() if group == "session" else list(range(own.height))
        shown = number == 0
        for column, colour in lines.items():
            traces.append(
                go.Scatter(
                    x=times,
                    y=own[column].to_list(),
                    mode="lines",
                    line={"color": colour, "width": 2, "shape": "hvh"},
                    name=column,
                    visible=shown,
                    hovertemplate="%{y:.2f}",
                )
            )
        for column, height in (("actual", -0.1), ("predicted", -0.22)):
            traces.append(_strip(times, own[column].to_list(), height, column, colours, shown))
    per_group = len(lines) + 2
    buttons = [
        {
            "label": name,
            "method": "restyle",
            "args": [{"visible": [i // per_group == number for i in range(len(traces))]}],
        }
        for number, name in enumerate(names)
    ]
    menu = {
        "buttons": buttons,
        "x": 0,
        "xanchor": "left",
        "y": 1.04,
        "yanchor": "bottom",
        "bgcolor": "rgba(133, 137, 143, 0.15)",
        "bordercolor": FAINT,
        "showactive": False,
    }
    figure = _figure(
        traces,
        380,
        updatemenus=[menu],
        showlegend=True,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
        hovermode="x unified",
        hoverlabel={"bgcolor": "rgba(60, 62, 66, 0.92)", "font": {"color": "#fff"}},
    )
    title = "start of the window, s" if group == "session" else "window"
    figure.update_xaxes(title_text=title, showgrid=False)
    figure.update_yaxes(
        range=[-0.3, 1.05],
        tickvals=[-0.22, -0.1, 0, 0.5, 1],
        ticktext=["predicted", "labelled", "0", "0.5", "1"],
    )
    return figure


def _strip(
    times: list[Any], names: list[Any], height: float, title: str, colours: Colours, shown: bool
) -> go.Scatter:
    return go.Scatter(
        x=times,
        y=[height] * len(times),
        mode="markers",
        marker={
            "symbol": "square",
            "size": 9,
            "color": [colours.get(name, FAINT) for name in names],
        },
        text=[readable(name or "unlabelled") for name in names],
        name=title,
        visible=shown,
        showlegend=False,
        hovertemplate="%{text}",
    )


def availability(recordings: pl.DataFrame, modality: str) -> go.Figure:
    """Show what became of one sensor's recordings, subjects by sessions."""
    sessions = (
        recordings.select("subject", "session")
        .unique()
        .sort("subject", "session")
        .with_columns(number=pl.col("session").cum_count().over("subject"))
    )
    own = sessions.join(
        recordings.filter(pl.col("modality") == modality), on=["subject", "session"], how="left"
    ).sort("subject", "number")
    subjects = own["subject"].unique().sort().to_list()
    width = int(own["number"].max() or 0)  # type: ignore[arg-type]
    codes: list[list[float | None]] = [[None] * width for _ in subjects]
    texts = [[""] * width for _ in subjects]
    for subject, session, number, status, reason in own.select(
        "subject", "session", "number", "status", "reason"
    ).iter_rows():
        row = subjects.index(subject)
        status = status or "missing"
        codes[row][number - 1] = STATUSES.index(status)
        texts[row][number - 1] = f"{session}: {status}" + (f"<br>{reason}" if reason else "")
    steps = [
        stop
        for number, colour in enumerate(STATUS_COLOURS.values())
        for stop in ([number / len(STATUSES), colour], [(number + 1) / len(STATUSES), colour])
    ]
    heat = go.Heatmap(
        z=codes,
        x=list(range(1, width + 1)),
        y=subjects,
        text=texts,
        zmin=-0.5,
        zmax=len(STATUSES) - 0.5,
        colorscale=steps,
        showscale=False,
        xgap=2 if width <= 20 else 0.5,
        ygap=2,
        hovertemplate="%{text}<extra></extra>",
    )
    figure = _figure([heat], 70 + 20 * len(subjects))
    step = max(1, width // 8)
    figure.update_xaxes(title_text="session", showgrid=False, tick0=1, dtick=step)
    figure.update_yaxes(showgrid=False, autorange="reversed", type="category")
    return figure


def quality(recordings: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the quality of every ingested recording, sensor by sensor."""
    traces = []
    for modality, colour in colours.items():
        own = recordings.filter(pl.col("modality") == modality).drop_nulls("quality")
        traces.append(
            _swarm(readable(modality), own["quality"].to_list(), own["recording"].to_list(), colour)
        )
    figure = _figure(traces, 90 + 60 * len(colours))
    figure.update_xaxes(title_text="quality", range=[-0.02, 1.02])
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def residuals(alignment: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show how far anchors stay from each recording's fitted clock, in milliseconds."""
    traces = []
    for modality, colour in colours.items():
        own = alignment.filter(pl.col("modality") == modality).drop_nulls("residual_ms")
        traces.append(
            _swarm(
                readable(modality), own["residual_ms"].to_list(), own["recording"].to_list(), colour
            )
        )
    figure = _figure(traces, 90 + 60 * len(colours))
    figure.update_xaxes(title_text="residual, ms", type="log", dtick="D2")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def residuals_over_time(anchors: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show every anchor's distance from its recording's clock, along the session.

    What a clock does not follow, such as a drift that changes, shows as a trend.
    """
    traces = []
    for modality, colour in colours.items():
        own = anchors.filter(pl.col("modality") == modality)
        own = own.gather_every(1 + own.height // MOST_POINTS)
        traces.append(
            go.Scatter(
                x=own["session_s"].to_list(),
                y=own["residual_ms"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 4, "opacity": 0.5},
                name=readable(modality),
                text=own["recording"].to_list(),
                hovertemplate="%{text}<br>%{x:.1f} s, %{y:.2f} ms",
            )
        )
    figure = _figure(
        traces, 320, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    figure.update_xaxes(title_text="session, s")
    figure.update_yaxes(title_text="residual, ms")
    return figure


def _swarm(name: str, values: list[float], texts: list[str], colour: str) -> go.Box:
    """Return a box with its points beside it; their jitter is plotly's, fixed by their order."""
    return go.Box(
        x=values,
        y=[name] * len(values),
        name=name,
        text=texts,
        orientation="h",
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        marker={"color": colour, "size": 5, "opacity": 0.8},
        line={"color": GREY, "width": 1},
        fillcolor="rgba(0,0,0,0)",
        hovertemplate="%{text}: %{x:.3g}<extra></extra>",
    )


def clocks(alignment: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show offset and drift of every recording's clock."""
    traces = []
    for modality, colour in colours.items():
        own = alignment.filter(pl.col("modality") == modality).drop_nulls("offset_s")
        traces.append(
            go.Scatter(
                x=own["offset_s"].to_list(),
                y=own["drift_ppm"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 8, "opacity": 0.75},
                name=readable(modality),
                text=own["recording"].to_list(),
                hovertemplate="%{text}<br>%{x:.3f} s, %{y:.1f} ppm",
            )
        )
    figure = _figure(
        traces, 320, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    figure.update_xaxes(title_text="offset, s")
    figure.update_yaxes(title_text="drift, ppm")
    return figure


def class_counts(labels: pl.DataFrame, classes: Sequence[str], colours: Colours) -> go.Figure:
    """Show how many windows each class leads."""
    leading = labels["class_probability"].drop_nulls().list.arg_max()
    bars = go.Bar(
        x=[int((leading == number).sum()) for number in range(len(classes))],
        y=[readable(name) for name in classes],
        orientation="h",
        marker={"color": [colours[name] for name in classes]},
        hovertemplate="%{y}: %{x} windows<extra></extra>",
    )
    figure = _figure([bars], 100 + 26 * len(classes), bargap=0.3)
    figure.update_xaxes(title_text="windows")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def agreement(labels: pl.DataFrame) -> go.Figure:
    """Show how far annotators agree, window by window."""
    bars = go.Histogram(
        x=labels["agreement"].drop_nulls().to_list(),
        xbins={"start": -1, "end": 1.05, "size": 0.05},
        marker={"color": PALETTE[0]},
        hovertemplate="%{x}: %{y} windows<extra></extra>",
    )
    figure = _figure([bars], 220, bargap=0.05)
    figure.update_xaxes(title_text="agreement of the annotators")
    figure.update_yaxes(title_text="windows")
    return figure


def reaction_lags(annotators: pl.DataFrame) -> go.Figure:
    """Show how late every annotator is, with a 95 % interval where sessions tell one."""
    own = annotators.drop_nulls("lag_s").unique("annotator", keep="first", maintain_order=True)
    own = own.sort("lag_s")
    spread = (1.96 * own["lag_sd_s"].fill_null(0)).to_list()
    dots = go.Scatter(
        x=own["lag_s"].to_list(),
        y=own["annotator"].to_list(),
        error_x={"array": spread, "thickness": 1.5, "width": 0},
        mode="markers",
        marker={"color": ACCENT, "size": 8},
        hovertemplate="%{y}: %{x:.2f} s<extra></extra>",
    )
    figure = _figure([dots], 90 + 24 * own.height)
    figure.update_xaxes(title_text="reaction lag, s", rangemode="tozero")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return figure


def lag_gains(annotators: pl.DataFrame) -> go.Figure:
    """Show every annotator's correlation with the others before and after lags are removed."""
    known = annotators.drop_nulls("correlation")
    own = known.unique("annotator", keep="first", maintain_order=True).sort("lag_s")
    traces: list[Any] = []
    for name, before, after in own.select(
        "annotator", "correlation_unshifted", "correlation"
    ).iter_rows():
        traces.append(
            go.Scatter(
                x=[before, after],
                y=[name, name],
                mode="lines+markers",
                line={"color": GREY, "width": 1.5},
                marker={"color": [GREY, ACCENT], "size": [7, 9]},
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )
    figure = _figure(traces, 90 + 24 * own.height)
    figure.update_xaxes(title_text="correlation with the others")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return figure


def annotator_reliability(annotators: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show how reliable every annotator is, target by target."""
    known = annotators.drop_nulls("reliability")
    busiest = known.group_by("annotator").agg(
        pl.col("n_windows").sum(), pl.col("reliability").mean()
    )
    shown = busiest.sort("n_windows", "annotator", descending=[True, False]).head(MOST_ANNOTATORS)
    names = shown.sort("reliability", "annotator", descending=[True, False])["annotator"].to_list()
    traces = []
    for target, colour in colours.items():
        own = known.filter(pl.col("target") == target, pl.col("annotator").is_in(names))
        traces.append(
            go.Scatter(
                x=own["reliability"].to_list(),
                y=own["annotator"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 8, "opacity": 0.8},
                name=target,
                text=own["n_windows"].to_list(),
                hovertemplate="%{y}: %{x:.3f}, %{text} windows",
            )
        )
    figure = _figure(traces, 90 + 24 * len(names))
    figure.update_xaxes(title_text="reliability")
    figure.update_yaxes(type="category", categoryarray=names, showgrid=False, autorange="reversed")
    return figure


def annotator_confusion(confusions: pl.DataFrame, classes: Sequence[str]) -> go.Figure:
    """Show what annotators name each class for, on average."""
    mean = confusions.group_by("actual", "named").agg(pl.col("probability").mean())
    share = {(actual, named): value for actual, named, value in mean.iter_rows()}
    heat = go.Heatmap(
        z=[[share.get((actual, named), 0.0) for named in classes] for actual in classes],
        x=[readable(name) for name in classes],
        y=[readable(name) for name in classes],
        zmin=0,
        zmax=1,
        colorscale=[[0, _rgba(PALETTE[0], 0)], [1, _rgba(PALETTE[0], 1)]],
        showscale=False,
        texttemplate="%{z:.0%}",
        hovertemplate="%{y} named %{x}: %{z:.1%}<extra></extra>",
        xgap=2,
        ygap=2,
    )
    figure = _figure([heat], 340)
    figure.update_xaxes(title_text="named by annotators", showgrid=False)
    figure.update_yaxes(title_text="consensus", showgrid=False, autorange="reversed")
    return figure


def folds(splits: pl.DataFrame) -> go.Figure:
    """Show every subject's role in every fold."""
    subjects = splits["subject"].unique().sort().to_list()
    numbers = splits["fold"].unique().sort().to_list()
    role = {(fold, subject): name for fold, subject, name in splits.iter_rows()}
    shades = (FAINT, PALETTE[0], ACCENT)
    steps = [
        stop
        for number, colour in enumerate(shades)
        for stop in ([number / 3, colour], [(number + 1) / 3, colour])
    ]
    names = [[role.get((fold, subject), "train") for subject in subjects] for fold in numbers]
    heat = go.Heatmap(
        z=[[ROLES.index(name) for name in row] for row in names],
        x=subjects,
        y=[f"fold {fold}" for fold in numbers],
        text=names,
        zmin=-0.5,
        zmax=2.5,
        colorscale=steps,
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{x}, %{y}: %{text}<extra></extra>",
    )
    figure = _figure([heat], 90 + 20 * len(numbers))
    figure.update_xaxes(showgrid=False, type="category")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def training(history: pl.DataFrame) -> go.Figure:
    """Show a method's losses over the epochs: median and quartiles of folds and seeds.

    They sum different terms and so have an axis each.
    """
    traces: list[Any] = []
    for column, axis, colour in (("train_loss", "y2", GREY), ("validation_loss", "y", ACCENT)):
        curve = (
            history.group_by("epoch")
            .agg(
                low=pl.col(column).quantile(0.25, "linear"),
                middle=pl.col(column).median(),
                high=pl.col(column).quantile(0.75, "linear"),
            )
            .sort("epoch")
        )
        epochs = curve["epoch"].to_list()
        band = _band(epochs, curve["low"].to_list(), curve["high"].to_list(), colour)
        line = go.Scatter(
            x=epochs,
            y=curve["middle"].to_list(),
            mode="lines",
            line={"color": colour, "width": 2},
            name=readable(column),
            hovertemplate="%{y:.3f}",
        )
        traces += [trace.update(yaxis=axis) for trace in (band, line)]
    figure = _figure(traces, 240)
    figure.update_xaxes(title_text="epoch")
    figure.update_yaxes(title_text="validation loss", color=ACCENT)
    return figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "side": "right",
            "tickmode": "auto",
            "title": {"text": "training loss", "standoff": 8},
            "showgrid": False,
            "zeroline": False,
            "automargin": True,
            "fixedrange": True,
        }
    )
