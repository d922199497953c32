"""Headers of EDF files that differ from their content, or are damaged."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers.edf_header import read_edf_header

N_RECORDS = 30


def edf(path: Path) -> bytearray:
    values = generator("header").standard_normal((2, 100 * N_RECORDS))
    signals = [
        edfio.EdfSignal(v, 100, label=f"C{i}", physical_dimension="uV", physical_range=(-9, 9))
        for i, v in enumerate(values)
    ]
    edfio.Edf(signals, data_record_duration=1).write(path)
    return bytearray(path.read_bytes())


def test_numbers_padded_with_zero_bytes_are_read(tmp_path):
    path = tmp_path / "a.edf"
    content = edf(path)
    for start, end in ((184, 192), (236, 244), (244, 252), (252, 256)):
        content[start:end] = bytes(content[start:end]).rstrip().ljust(end - start, b"\0")
    path.write_bytes(content)
    header = read_edf_header(path)
    assert (header.n_records, header.record_s, len(header.signals)) == (N_RECORDS, 1, 2)
    assert header.notes == ()


@pytest.mark.parametrize(
    ("declared", "note"),
    [
        (b"-1", ()),
        (b"30", ()),
        (b"20", ("the header counts 20 records, the file holds 30: all are read",)),
        (b"0", ("the header counts 0 records, the file holds 30: all are read",)),
    ],
)
def test_records_beyond_those_declared_are_read_and_reported(tmp_path, declared, note):
    path = tmp_path / "a.edf"
    content = edf(path)
    content[236:244] = declared.ljust(8)
    path.write_bytes(content)
    header = read_edf_header(path)
    assert (header.n_records, header.notes) == (N_RECORDS, note)


def test_bytes_after_the_last_record_are_reported(tmp_path):
    path = tmp_path / "a.edf"
    path.write_bytes(edf(path) + b"\n123")
    assert read_edf_header(path).notes == ("4 bytes after the last complete record left out",)


def test_a_file_cut_at_any_byte_is_refused(tmp_path):
    path = tmp_path / "a.edf"
    content = edf(path)
    for length in [*range(1, len(content), 997), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(RecordingError):
            read_edf_header(path)


@pytest.mark.parametrize(
    ("start", "content", "message"),
    [
        (244, b"1,0     ", "the duration of a record is b'1,0     ', with a decimal comma"),
        (244, b"nan     ", "the duration of a record is b'nan     '"),
        (244, b"0       ", "the duration of a record is 0 s"),
        (236, b"3.5     ", "the number of records is b'3.5     ', not a whole number"),
        (252, b"3   ", "a header of 768 bytes does not describe 3 signals"),
        (256 + 104 * 2, b"-9,5    ", "the minimum of 'C0' is b'-9,5    ', with a decimal comma"),
        (256 + 216 * 2, b"-100    ", "samples per record of 'C0' is -100"),
    ],
)
def test_an_invalid_field_is_named_with_its_bytes(tmp_path, start, content, message):
    path = tmp_path / "a.edf"
    changed = edf(path)
    changed[start : start + len(content)] = content
    path.write_bytes(changed)
    with pytest.raises(RecordingError) as caught:
        read_edf_header(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("declared", [None, b"-1      "])
def test_a_conversion_of_line_ends_is_named(tmp_path, declared):
    path = tmp_path / "a.edf"
    content = edf(path)
    content[236:244] = declared or content[236:244]
    n_lf = content.count(b"\n")
    assert n_lf > 16
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    with pytest.raises(RecordingError, match=f"conversion of line ends: each of its {n_lf} LF"):
        read_edf_header(path)


@pytest.mark.parametrize(
    ("recording", "short", "clock", "start"),
    [
        (b"Startdate 05-JAN-2024 X X X", b"05.01.24", b"10.11.12", "2024-01-05T10:11:12+00:00"),
        (b"", b"05.01.99", b"10:11:12", "1999-01-05T10:11:12+00:00"),
        (b"", b"05.01.24", b"xx.yy.zz", "2024-01-05T00:00:00+00:00"),
        (b"", b"yy.yy.yy", b"10.11.12", None),
    ],
)
def test_the_start_is_read(tmp_path, recording, short, clock, start):
    path = tmp_path / "a.edf"
    content = edf(path)
    content[88:168] = recording.ljust(80)
    content[168:184] = short + clock
    path.write_bytes(content)
    parsed = read_edf_header(path).start
    assert (parsed and parsed.isoformat()) == start


def test_labels_and_ranges_are_read(tmp_path):
    edf(tmp_path / "a.edf")
    first, second = read_edf_header(tmp_path / "a.edf").signals
    assert (first.label, first.unit, first.physical) == ("C0", "uV", (-9, 9))
    assert (second.n_samples, second.offset) == (100, 100)
    assert np.ptp(second.digital) == 65535
