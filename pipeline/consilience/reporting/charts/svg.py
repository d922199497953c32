"""Small charts as SVG elements, which need no script: for pages that hold many of them.

Text and axes take the page's ink (``currentColor``), so that they are readable in light and dark.
A `fluid` chart is as wide as the page has room for, and its text has the same size on every screen:
texts stand at shares of the width, and curves are stretched without their strokes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 150  # user units; an element is as wide as the page has room
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 16, 38  # around the plot
STRETCHED = 1000  # user units of a stretched plot's width
FONT_SIZE = 12
MAX_SCALE = 1.25  # of a user unit, pixels
TICKS = 6  # at most, along the horizontal axis
GRID_OPACITY = 0.2
NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
STYLE = f'font-family="inherit" font-size="{FONT_SIZE}" fill="currentColor" role="img"'
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
    x_range: tuple[float, float] | None = None,
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
    x_range : tuple of float, optional
        Of the horizontal axis, for charts that are compared; default: that of curves and marks.
    """
    xs = x_range or [x for curve in curves for x in curve.x] + [mark.x for mark in marks]
    x = axis(xs, 0, STRETCHED)
    y = Axis(*y_range, HEIGHT - BOTTOM, TOP)
    paths = [
        path(_path(curve, x, y), curve.colour, 1.5, is_dashed=curve.dashed, title=curve.name)
        for curve in curves
    ]
    texts = [*_frame(x, y, x_title, y_title), *(_mark(mark, x.at(mark.x)) for mark in marks)]
    return fluid(paths, texts)


def fluid(
    paths: Iterable[str], parts: Iterable[str], height: float = HEIGHT, left: float = LEFT
) -> str:
    """Return an SVG element whose plot is stretched to the width of the page, unlike its texts.

    Parameters
    ----------
    paths : iterable of str
        Of the plot, `STRETCHED` units wide.
    parts : iterable of str
        In pixels from the plot's upper left corner; across, also in per cent of its width.
    height : float
        In pixels.
    left : float
        Pixels beside the plot, where texts have negative positions.
    """
    # The padding is outside of what a percentage refers to.
    size = (
        f'width="100%" height="{height:g}" style="overflow:visible;box-sizing:border-box;'
        f'padding:0 {RIGHT}px 0 {left:g}px;max-width:{MAX_SCALE * WIDTH:g}px"'
    )
    plot = (
        f'<svg width="100%" height="{height:g}" viewBox="0 0 {STRETCHED} {height:g}" '
        f'preserveAspectRatio="none">{"".join(paths)}</svg>'
    )
    return f"<svg {NAMESPACE} {size} {STYLE}>{plot}{''.join(parts)}</svg>"


def path(
    commands: str, colour: str, width: float = 1.0, *, is_dashed: bool = False, title: str = ""
) -> str:
    """Return a line of a stretched plot, whose stroke is not stretched."""
    dash = ' stroke-dasharray="5 3"' if is_dashed else ""
    name = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<path d="{commands}" fill="none" stroke="{colour}" stroke-width="{width:g}" '
        f'vector-effect="non-scaling-stroke"{dash}>{name}</path>'
    )


def share(position: float) -> str:
    """Return a position in a stretched plot as a percentage of its width."""
    return f"{100 * position / STRETCHED:.4g}%"


def element(parts: Iterable[str], height: float = HEIGHT, width: float = WIDTH) -> str:
    """Return an SVG element of parts."""
    # As wide as the page has room for, but text no larger than the page's own.
    size = (
        f'viewBox="0 0 {width:g} {height:g}" style="width:100%;max-width:{MAX_SCALE * width:g}px"'
    )
    return f"<svg {NAMESPACE} {size} {STYLE}>{''.join(parts)}</svg>"


def text(x: float | str, y: float, content: str, anchor: str = "start") -> str:
    """Return a text in the page's ink, at a position in user units or, across, in per cent."""
    across = x if isinstance(x, str) else f"{x:.5g}"
    return f'<text x="{across}" y="{y:.5g}" text-anchor="{anchor}">{escape(content)}</text>'


def x_ticks(x: Axis, y: float, title: str, opacity: float = GRID_OPACITY) -> Iterable[str]:
    """Yield ticks, their labels and the title below a stretched plot that ends at `y`."""
    for tick in x.ticks:
        at = share(x.at(tick))
        yield (
            f'<line x1="{at}" x2="{at}" y1="{y:g}" y2="{y + 4:g}" stroke="currentColor" '
            f'stroke-opacity="{opacity:g}"/>'
        )
        yield text(at, y + 16, f"{tick:g}", "middle")
    yield text("50%", y + 31, title, "middle")


def polyline(points: Iterable[tuple[float, float]], colour: str, width: float = 1.0) -> str:
    """Return a line through points in user units."""
    return f'<path d="{line(points)}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'


def line(points: Iterable[tuple[float, float]]) -> str:
    """Return the commands of a path through points."""
    return "M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in points)


def _frame(x: Axis, y: Axis, x_title: str, y_title: str) -> Iterable[str]:
    """Yield grid lines, tick labels and titles."""
    for tick in y.ticks if y.high - y.low != 1 else (0.0, 0.5, 1.0):
        at = y.at(tick)
        yield (
            f'<line x1="0" x2="100%" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor" '
            f'stroke-opacity="{GRID_OPACITY}"/>'
        )
        yield text(-6, at + 4, f"{tick:g}", "end")
    yield from x_ticks(x, y.start, x_title)
    if y_title:
        yield text(-LEFT, y.end - 5, y_title)


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
            f'<svg x="{share(at)}" style="overflow:visible"><path d="M{-half} {TOP - 12}h{2 * half}'
            f'l{-half} {1.6 * half:g}z">{title}</path></svg>'
        )
    return f'<circle cx="{share(at)}" cy="{TOP - 8}" r="2">{title}</circle>'
