"""Codes on trigger channels, and annotations as markers."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.readers.markers import (
    TRIGGERS,
    code_events,
    describe_codes,
    sync_descriptions,
    sync_onsets,
)

N = 4000


def line(*events: tuple[int, int, int], rest: int = 0) -> np.ndarray:
    """Return a trigger channel with these (first sample, length, code)."""
    codes = np.full(N, rest)
    for first, length, code in events:
        codes[first : first + length] = code
    return codes.astype(float)


MANY = [(200 * k, 8, 3) for k in range(1, 10)] + [(300, 8, 200), (700, 8, 4096), (1100, 8, 200)]


@pytest.mark.parametrize("flags", [0, 1 << 16, 1 << 20, (1 << 20) + (1 << 16)])
def test_the_most_frequent_code_is_that_of_synchronisation(flags):
    codes = line(*MANY) + flags
    assert sync_onsets(codes).tolist() == [200 * k for k in range(1, 10)]
    assert sync_onsets(codes, 200).tolist() == [300, 1100]
    assert describe_codes("Status", codes) == [
        "Status has the codes 3 (9 times), 200 (2 times), 4096 (1 time); synchronisation uses 3"
    ]


def test_flags_that_change_are_not_markers():
    codes = line((500, 5, 7), (900, 5, 7)) + (1 << 20)
    codes[:3] += 1 << 16
    codes[1500:2500] -= 1 << 20
    assert code_events(codes) == [(500, 7), (900, 7)]


def test_lines_that_rest_high_are_decoded_by_their_difference():
    assert code_events(line((500, 5, 0xFF04), (900, 5, 0xFF01), rest=0xFF00)) == [
        (500, 4),
        (900, 1),
    ]
    assert code_events(line((500, 5, 254), rest=255)) == [(500, 1)]


def test_a_start_code_is_not_a_marker_and_equal_counts_are_all_used():
    codes = line((0, 20, 254), (500, 5, 1), (900, 5, 2))
    assert code_events(codes) == [(500, 1), (900, 2)]
    assert sync_onsets(codes).tolist() == [500, 900]


def test_lines_that_change_one_sample_apart_are_one_marker():
    codes = line((500, 1, 1), (501, 9, 5), (900, 1, 2))
    assert code_events(codes) == [(500, 5), (900, 2)]


def test_a_code_that_holds_until_the_next_is_a_marker_at_each_change():
    codes = line((500, 1000, 1), (1500, 1000, 2), (2500, 1500, 3))
    assert code_events(codes) == [(500, 1), (1500, 2), (2500, 3)]


def test_held_codes_below_an_idle_upper_byte_are_decoded():
    held = line((500, 1000, 1), (1500, 1000, 2), (2500, 1500, 3))
    for upper in (0xFF00, 0x18FF00, 0x3F00):
        assert code_events(held + upper) == [(500, 1), (1500, 2), (2500, 3)]


def test_names_of_trigger_channels():
    names = "TRIG Trigger Trigger_1 Triggers STATUS Status Marker Markers Event TTL TTL2 STI014"
    assert all(TRIGGERS.match(name) for name in names.split())
    assert not any(TRIGGERS.match(name) for name in ("Trigeminal", "Eventful", "MARKER_X", "Fp1"))


def test_an_analogue_trigger_rises_above_half():
    noise = 0.2 * generator("trigger").standard_normal(N)
    assert sync_onsets(line((500, 20, 5), (900, 20, 5)) + noise).tolist() == [500, 900]
    assert code_events(np.rint(10 * (line((500, 20, 5)) + noise))) is None


def test_a_channel_without_markers_has_none():
    assert sync_onsets(line(rest=65280)).tolist() == []
    assert describe_codes("TRIG", line((500, 5, 1))) == []


def test_descriptions_of_synchronisation_have_priority_over_stimuli():
    texts = ["Stimulus/S  1"] * 9 + ["Stimulus/S 64"] * 2 + ["New Segment/", "rest"]
    assert sync_descriptions(texts) == {"Stimulus/S  1"}
    assert sync_descriptions(texts, 64) == {"Stimulus/S 64"}
    assert sync_descriptions([*texts, "sync", "TTL 1"]) == {"sync", "TTL 1"}
    assert sync_descriptions(["rest"]) == set()
