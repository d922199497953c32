import xml.etree.ElementTree as ET

import numpy as np
import pytest

from consilience.reporting.charts import excerpts
from consilience.reporting.content.excerpts import Excerpt, png

NS = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{NS}text")]


def excerpt(values: np.ndarray, *names: str) -> Excerpt:
    times_s = np.linspace(0, 5, len(values))
    return Excerpt(
        "signal", names, times_s, values, np.array([1.0, 10, 100]), np.array([-30.0, 0, -50])
    )


def test_every_channel_states_its_name_and_range_with_unit() -> None:
    values = np.column_stack([np.linspace(-2e-5, 3e-5, 50), np.linspace(0, 4, 50)])
    words = texts(excerpts.channels(excerpt(values, "Fz", "<x>"), "#123456", "V"))
    assert words[:4] == ["Fz", "−20 µV to 30 µV", "<x>", "0 V to 4 V"]
    assert "1e" not in "".join(texts(excerpts.channels(excerpt(1e3 * values, "a", "b"), "#123456")))


def test_a_gap_interrupts_a_curve_and_a_channel_without_samples_states_it() -> None:
    values = np.column_stack(
        [np.r_[np.ones(20), np.full(5, np.nan), np.ones(25)], np.full(50, np.nan)]
    )
    svg = excerpts.channels(excerpt(values, "a", "b"), "#123456")
    curves = [p for p in ET.fromstring(svg).iter(f"{NS}path") if p.get("stroke") == "#123456"]
    assert len(curves) == 2
    assert "no samples" in texts(svg)


def test_a_spectrum_has_decades_on_its_axis() -> None:
    words = texts(excerpts.spectrum(excerpt(np.ones((5, 1)), "a"), "#123456"))
    assert {"1", "10", "100", "frequency, Hz", "dB"} <= set(words)


def test_bars_state_their_shares() -> None:
    words = texts(excerpts.bars({"delta": 0.75, "alpha": 0.25}, "#123456"))
    assert {"delta", "75 %", "alpha", "25 %"} <= set(words)


@pytest.mark.parametrize("n", [1, 5])
def test_thumbnails_are_inside_the_drawing(n: int) -> None:
    root = ET.fromstring(excerpts.thumbnails([png(np.zeros((4, 4), np.uint8))] * n))
    images = list(root.iter(f"{NS}image"))
    assert len(images) == n
    assert all(image.get("href", "").startswith("data:image/png;base64,") for image in images)
