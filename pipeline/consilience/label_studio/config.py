"""Labelling configuration of a study: the players, classes and ratings of each task.

The tags are those of https://labelstud.io/tags: pictures, sound and signals of a task share one
clock, and are kept in time by the attribute ``sync``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

QUESTION, VIDEO, AUDIO, SIGNALS, TIME = "question", "video", "audio", "signals", "time_s"
EMOTION = "emotion"
SYNC = "session"  # name that all players share
FRAME_RATE_HZ = 25
RATING_STEP = 0.1
PLOT_HEIGHT = 60  # pixels of one channel
VIDEO_HEIGHT = 280  # pixels: by default 600, which leaves the sound and the curves out of sight


class Layout(NamedTuple):
    """Content of every task of a study.

    Attributes
    ----------
    has_video, has_audio : bool
    channels : sequence of str
        Columns of the time series.
    classes : sequence of str
    ratings : sequence of str
        Of valence and arousal, those that are asked.
    """

    has_video: bool
    has_audio: bool
    channels: Sequence[str]
    classes: Sequence[str]
    ratings: Sequence[str]


def labelling_config(layout: Layout) -> str:
    """Return the labelling configuration as XML."""
    view = ElementTree.Element("View")

    def tag(parent: ElementTree.Element, kind: str, **attributes: str) -> ElementTree.Element:
        return ElementTree.SubElement(parent, kind, attributes)

    tag(view, "Text", name=QUESTION, value=f"${QUESTION}")
    if layout.has_video:
        # Without the rate, Label Studio assumes another one and the players drift apart.
        rate = str(FRAME_RATE_HZ)
        height = str(VIDEO_HEIGHT)
        tag(view, "Video", name=VIDEO, value=f"${VIDEO}", sync=SYNC, frameRate=rate, height=height)
    if layout.has_audio:
        tag(view, "Audio", name=AUDIO, value=f"${AUDIO}", sync=SYNC)
    if layout.channels:
        series = tag(
            view,
            "TimeSeries",
            name=SIGNALS,
            value=f"${SIGNALS}",
            valueType="json",
            timeColumn=TIME,
            timeDisplayFormat=",.2f",
            sync=SYNC,
        )
        for name in layout.channels:
            # Label Studio searches the columns in lower case, and draws no task if one is missing.
            tag(series, "Channel", column=name.lower(), legend=name, height=str(PLOT_HEIGHT))
    if layout.classes:
        choices = tag(view, "Choices", name=EMOTION, toName=QUESTION, choice="single")
        for name in layout.classes:
            tag(choices, "Choice", value=name)
    for name in layout.ratings:
        tag(view, "Header", value=f"{name}, -1 to 1")
        limits = {"min": "-1", "max": "1", "step": str(RATING_STEP)}
        tag(view, "Number", name=name, toName=QUESTION, slider="true", **limits)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"
