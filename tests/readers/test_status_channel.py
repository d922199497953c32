"""Trigger codes of BDF files, and files that are not BDF."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers.status_channel import status_events

RATE_HZ = 64
WIDE = (-(2**23), 2**23 - 1)


def write(path: Path, codes: np.ndarray, label: str = "Status") -> Path:
    signal = edfio.BdfSignal.from_digital(
        codes.astype(np.int32), RATE_HZ, label=label, physical_range=WIDE, digital_range=WIDE
    )
    edfio.Bdf([signal], data_record_duration=1).write(path)
    return path


def test_an_event_is_a_change_to_a_code_other_than_zero(tmp_path):
    codes = np.zeros(4 * RATE_HZ, int)
    codes[RATE_HZ : RATE_HZ + 8] = 4
    codes[RATE_HZ + 8 : RATE_HZ + 12] = 5
    codes[3 * RATE_HZ :] = 255
    assert status_events(write(tmp_path / "a.bdf", codes)) == [
        (1.0, 4),
        (1.0 + 8 / RATE_HZ, 5),
        (3.0, 255),
    ]


@pytest.mark.parametrize("flags", [0x10000, 0x110000, -0x100000, 0x18FF00])
@pytest.mark.parametrize("code", [7, 255, 256, 0x1234])
def test_a_code_of_16_bits_is_decoded_below_the_flags_and_above_idle_lines(tmp_path, flags, code):
    codes = np.full(3 * RATE_HZ, flags)
    codes[RATE_HZ : RATE_HZ + 9] ^= code
    assert status_events(write(tmp_path / "a.bdf", codes)) == [(1.0, code)]


def test_a_code_at_the_first_sample_is_not_an_event(tmp_path):
    codes = np.zeros(4 * RATE_HZ, int)
    codes[:9], codes[RATE_HZ : RATE_HZ + 9] = 254, 3
    assert status_events(write(tmp_path / "a.bdf", codes)) == [(1.0, 3)]


@pytest.mark.parametrize("content", [b"", b"text", b"\xffBIOSEMI" + b" " * 300])
def test_another_file_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.bdf").write_bytes(content)
    with pytest.raises(RecordingError, match="not a readable BDF") as caught:
        status_events(tmp_path / "a.bdf")
    assert "\n" not in str(caught.value)


def test_a_file_without_a_status_channel_of_codes_is_refused(tmp_path):
    noise = 1000 * generator("status").standard_normal(4 * RATE_HZ)
    for codes, label in ((np.zeros(RATE_HZ), "Trigger"), (noise, "Status")):
        with pytest.raises(RecordingError, match="no Status channel with codes"):
            status_events(write(tmp_path / "a.bdf", codes, label))


def test_a_folder_of_that_name_is_refused(tmp_path):
    with pytest.raises(RecordingError, match=r"not a readable BDF: .*directory"):
        status_events(tmp_path)
