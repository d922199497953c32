"""Small charts as SVG elements, which need no script: for pages that hold many of them.

Text and axes take the page's ink (``currentColor``), so that they are readable in light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 150  # user units; an element is as wide as the page has room
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 16, 38  # around the plot
FONT_SIZE = 12
MAX_SCALE = 1.25  # of a user unit, pixels
TICKS = 6  # at most, along the horizontal axis
GRID_OPACITY = 0.2
MARK_SIZE = 4

Number = float | int | None


@dataclass(frozen=True)
class Curve:
    """A line, interrupted where a value is missing."""

    name: str
    x: Sequence[float]
    y: Sequence[Number]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Mark:
    """A moment above the plot: a triangle if it is grave, else a dot."""

    x: float
    text: str
    is_grave: bool = True


@dataclass(frozen=True)
class Axis:
    """A linear map of values to user units, with the positions of its ticks."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values within the axis, at most `TICKS`."""
        span = self.high - self.low
        raw = span / TICKS
        magnitude = 10.0 ** math.floor(math.log10(raw))
        step = next(m * magnitude for m in (1, 2, 5, 10) if m * magnitude >= raw)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axis(values: Iterable[Number], start: float, end: float) -> Axis:
    """Return the axis of finite values; of 0 to 1 without any."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, low + 0.5
    return Axis(low, high, start, end)


def time_chart(
    curves: Sequence[Curve],
    marks: Sequence[Mark],
    x_title: str,
    y_range: tuple[float, float] = (0.0, 1.0),
    y_title: str = "",
) -> str:
    """Return curves over a common horizontal axis, with marks above them.

    Parameters
    ----------
    curves : sequence of Curve
    marks : sequence of Mark
    x_title : str
    y_range : tuple of float
        Of the vertical axis.
    y_title : str
    """
    xs = [x for curve in curves for x in curve.x] + [mark.x for mark in marks]
    x = axis(xs, LEFT, WIDTH - RIGHT)
    y = Axis(*y_range, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(x, y, x_title, y_title)]
    for curve in curves:
        dash = ' stroke-dasharray="5 3"' if curve.dashed else ""
        parts.append(
            f'<path d="{_path(curve, x, y)}" fill="none" stroke="{curve.colour}" '
            f'stroke-width="1.5"{dash}><title>{escape(curve.name)}</title></path>'
        )
    parts += [_mark(mark, x.at(mark.x)) for mark in marks]
    return element(parts)


def element(parts: Iterable[str], height: float = HEIGHT, width: float = WIDTH) -> str:
    """Return an SVG element of parts."""
    # As wide as the page has room for, but text no larger than the page's own.
    size = (
        f'viewBox="0 0 {width:g} {height:g}" style="width:100%;max-width:{MAX_SCALE * width:g}px"'
    )
    font = f'font-family="inherit" font-size="{FONT_SIZE}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font} fill="currentColor" role="img">'
        f"{''.join(parts)}</svg>"
    )


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    """Return a text in the page's ink."""
    return f'<text x="{x:.5g}" y="{y:.5g}" text-anchor="{anchor}">{escape(content)}</text>'


def polyline(points: Iterable[tuple[float, float]], colour: str, width: float = 1.0) -> str:
    """Return a line through points in user units."""
    path = "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def _frame(x: Axis, y: Axis, x_title: str, y_title: str) -> Iterable[str]:
    """Yield grid lines, tick labels and titles."""
    grid = f'stroke="currentColor" stroke-opacity="{GRID_OPACITY}"'
    for tick in y.ticks if y.high - y.low != 1 else (0.0, 0.5, 1.0):
        at = y.at(tick)
        yield f'<path d="M{x.start} {at:.1f}H{x.end}" {grid}/>'
        yield text(x.start - 6, at + 4, f"{tick:g}", "end")
    for tick in x.ticks:
        at = x.at(tick)
        yield f'<path d="M{at:.1f} {y.start}v4" {grid}/>'
        yield text(at, y.start + 16, f"{tick:g}", "middle")
    yield text((x.start + x.end) / 2, y.start + 31, x_title, "middle")
    if y_title:
        yield text(0, y.end - 5, y_title)


def _path(curve: Curve, x: Axis, y: Axis) -> str:
    """Return the path of a curve; a single value between gaps becomes a short line."""
    commands: list[str] = []
    is_open = False
    for px, value in zip(curve.x, curve.y, strict=True):
        if value is None or not math.isfinite(value):
            is_open = False
            continue
        at = f"{x.at(px):.1f} {y.at(min(max(value, y.low), y.high)):.1f}"
        commands.append(f"{'L' if is_open else 'M'}{at}" + ("" if is_open else "h1"))
        is_open = True
    return "".join(commands)


def _mark(mark: Mark, at: float) -> str:
    title = f"<title>{escape(mark.text)}</title>"
    if mark.is_grave:
        half = MARK_SIZE
        return (
            f'<path d="M{at - half:.1f} {TOP - 12}h{2 * half}l{-half} {1.6 * half:g}z" '
            f'fill="currentColor">{title}</path>'
        )
    return f'<circle cx="{at:.1f}" cy="{TOP - 8}" r="2" fill="currentColor">{title}</circle>'
