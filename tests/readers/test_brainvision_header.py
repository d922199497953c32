"""Headers and marker files of BrainVision; test_mne_file.py reads whole recordings."""

from __future__ import annotations

import pytest

from consilience.readers.brainvision_header import (
    channel_units,
    declared_samples,
    samples_are_text,
    segment_gaps,
)


def header(path, *lines: str, encoding: str = "utf-8"):
    path.write_bytes("\r\n".join(["[Common Infos]", *lines, ""]).encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_units_are_read_in_every_encoding(tmp_path, encoding):
    lines = ["Ch1=Fp1,,0.1,µV", "Ch2=a\\1b,,1,mV", "Ch3=C3,,0.5,", "Ch4=C4,Cz,1", "Ch5=C5,"]
    units = channel_units(header(tmp_path / "a.vhdr", *lines, encoding=encoding))
    assert units == {"Fp1": "µV", "a,b": "mV", "C3": "µV", "C4": "µV", "C5": "µV"}


def test_the_declared_length_is_read(tmp_path):
    assert declared_samples(header(tmp_path / "a.vhdr", "DataPoints=1200")) == 1200
    assert declared_samples(header(tmp_path / "a.vhdr", "SamplingInterval=2000")) is None


def test_samples_in_text_are_recognised(tmp_path):
    for kind, is_text in (("ASCII", True), ("BINARY", False)):
        path = header(tmp_path / "a.vhdr", f"DataFormat={kind}")
        assert samples_are_text(path) == is_text


@pytest.mark.parametrize("name", ["$b.vmrk", "x.vmrk", None])
def test_the_marker_file_is_the_one_that_the_header_names(tmp_path, name):
    path = header(tmp_path / "x.vhdr", *([f"MarkerFile={name}"] if name else []))
    header(
        tmp_path / "x.vmrk",
        "Mk1=New Segment,,1,1,0,20240105100000250000",
        "Mk2=Stimulus,S  1,400,1,0",
        "Mk3=New Segment,,501,1,0,20240105100012750000",
    )
    gaps, findings = segment_gaps(path, 100.0)
    assert [first for first, _ in gaps] == [500]
    assert gaps[0][1] == pytest.approx(7.5)
    assert findings == []


def test_a_recording_without_markers_has_no_pause(tmp_path):
    assert segment_gaps(header(tmp_path / "x.vhdr"), 100.0) == ([], [])
