"""Charts of a few seconds of a recording, as SVG."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from consilience.reporting.charts.svg import (
    BOTTOM,
    GRID_OPACITY,
    LEFT,
    RIGHT,
    STRETCHED,
    TOP,
    Axis,
    axis,
    element,
    fluid,
    line,
    path,
    polyline,
    text,
    x_ticks,
)

if TYPE_CHECKING:
    from consilience.reporting.content.excerpts import Excerpt

ROW = 34  # user units of one channel
NAME_WIDTH = 150  # of the channel's name and scale
AXIS_OPACITY = 0.5
BAR, BAR_GAP = 20, 6
PICTURE = 120  # user units of a thumbnail
SMALL_WIDTH = 340  # of a chart that stands beside another one
# Signals in volts, siemens and the like are small: they are stated with a prefix.
PREFIXES = {1e-6: "µ", 1e-3: "m"}


def channels(excerpt: Excerpt, colour: str, unit: str = "") -> str:
    """Show every channel as a curve in a row of its own, with its range beside it.

    Parameters
    ----------
    excerpt : Excerpt
    colour : str
    unit : str
        Of the values; empty if it is not known.
    """
    height = TOP + ROW * len(excerpt.channels) + BOTTOM
    x = axis(excerpt.times_s.tolist(), 0, STRETCHED)
    paths, texts = [], []
    for number, name in enumerate(excerpt.channels):
        top = TOP + ROW * number
        values = excerpt.values[:, number]
        finite = np.isfinite(values)
        y = axis(values[finite].tolist(), top + ROW - 4, top + 2)
        extent = f"{_short(y.low, unit)} to {_short(y.high, unit)}"
        extent = extent if finite.any() else "no samples"
        texts += [text(-NAME_WIDTH, top + 14, name[:22]), text(-NAME_WIDTH, top + 27, extent)]
        # A gap interrupts the curve.
        for stretch in np.split(np.arange(len(values)), np.flatnonzero(~finite)):
            places = [n for n in stretch if finite[n]]
            if len(places) > 1:
                points = [(x.at(excerpt.times_s[n]), y.at(values[n])) for n in places]
                paths.append(path(line(points), colour))
    bottom = height - BOTTOM + 2
    texts += [
        f'<line x1="0" x2="100%" y1="{bottom}" y2="{bottom}" stroke="currentColor" '
        f'stroke-opacity="{AXIS_OPACITY}"/>',
        *x_ticks(x, bottom, "time, s", AXIS_OPACITY),
    ]
    return fluid(paths, texts, height, NAME_WIDTH)


def _x_axis(x: Axis, y: float, title: str, labels: Mapping[float, str]) -> list[str]:
    parts = [
        f'<path d="M{x.start:g} {y:g}H{x.end:g}" stroke="currentColor" '
        f'stroke-opacity="{AXIS_OPACITY}"/>'
    ]
    for tick, label in labels.items():
        at = x.at(tick)
        parts.append(f'<path d="M{at:.1f} {y:g}v4" stroke="currentColor"/>')
        parts.append(text(at, y + 16, label, "middle"))
    return [*parts, text((x.start + x.end) / 2, y + 30, title, "middle")]


def _short(value: float, unit: str = "") -> str:
    """Return a number with three digits and its unit, if known with a prefix for small ones."""
    scale = 1.0
    if unit and 0 < abs(value) < 1e-1:
        scale = 1e-6 if abs(value) < 1e-3 else 1e-3
    return f"{value / scale:.3g} {PREFIXES.get(scale, '')}{unit}".strip().replace("-", "−")


def spectrum(excerpt: Excerpt, colour: str) -> str:
    """Show power in dB over frequency, on a logarithmic scale."""
    logarithm = np.log10(excerpt.frequency_hz)
    x = axis(logarithm.tolist(), LEFT, SMALL_WIDTH - RIGHT)
    low = 10 * math.floor(float(excerpt.power_db.min()) / 10)
    height = 190
    y = Axis(min(low, -10.0), 0.0, height - BOTTOM, TOP)
    grid = f'stroke="currentColor" stroke-opacity="{GRID_OPACITY}"'
    parts = [text(0, 11, "dB")]
    for tick in y.ticks:
        parts.append(f'<path d="M{x.start} {y.at(tick):.1f}H{x.end}" {grid}/>')
        parts.append(text(LEFT - 6, y.at(tick) + 4, f"{tick:g}".replace("-", "−"), "end"))
    points = zip(logarithm, excerpt.power_db, strict=True)
    parts.append(polyline([(x.at(f), y.at(p)) for f, p in points], colour, 1.5))
    decades = range(math.ceil(x.low), math.floor(x.high) + 1)
    ticks = {float(n): f"{10.0**n:g}" for n in decades}
    parts += _x_axis(x, y.start, "frequency, Hz", ticks or {x.low: f"{10**x.low:.2g}"})
    return element(parts, height, SMALL_WIDTH)


def bars(shares: Mapping[str, float], colour: str) -> str:
    """Show shares as horizontal bars."""
    height = TOP + (BAR + BAR_GAP) * len(shares) + BOTTOM
    x = Axis(0.0, max(shares.values()), 90, SMALL_WIDTH - 60)
    parts = []
    for number, (name, share) in enumerate(shares.items()):
        top = TOP + (BAR + BAR_GAP) * number
        parts.append(text(84, top + 14, name, "end"))
        width = x.at(share) - x.start
        parts.append(
            f'<rect x="{x.start:g}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        )
        parts.append(text(x.at(share) + 5, top + 14, f"{100 * share:.0f} %"))
    return element(parts, height, SMALL_WIDTH)


def thumbnails(pictures: Sequence[bytes]) -> str:
    """Show pictures (PNG files) in a row."""
    parts = [
        f'<image x="{number * (PICTURE + 6)}" y="0" width="{PICTURE}" height="{PICTURE}" '
        f'href="data:image/png;base64,{b64encode(content).decode()}"/>'
        for number, content in enumerate(pictures)
    ]
    return element(parts, PICTURE)
