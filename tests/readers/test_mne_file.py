"""Units and interruptions that MNE-Python does not report, in files of other libraries."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pybv
import pytest
import scipy.io

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers.recording import open_recording

RATE_HZ = 100
NAMES = ("Fp1", "Fp2", "Cz")
N = 3000
VALUES = 2e-5 * generator("mne file").standard_normal((N, len(NAMES)))


def brainvision(path: Path, *marks: str) -> None:
    pybv.write_brainvision(
        data=VALUES.T,
        sfreq=RATE_HZ,
        ch_names=list(NAMES),
        fname_base=path.stem,
        folder_out=path.parent,
        overwrite=True,
    )
    markers = path.with_suffix(".vmrk")
    lines = [line for line in markers.read_text().split("\n") if not line.startswith("Mk")]
    written = [f"Mk{number}={mark}" for number, mark in enumerate(marks, 1)]
    markers.write_text("\n".join([*lines, *written, ""]))


def segment(position: int, date: str) -> str:
    return f"New Segment,,{position},1,0,{date}"


def test_pauses_of_brainvision_are_gaps_of_the_duration_between_its_dates(tmp_path):
    brainvision(
        tmp_path / "a.vhdr",
        segment(1, "20240105235950000000"),
        "Stimulus,S  1,501,1,0",
        segment(1001, "20240106000010500000"),  # 10 s of samples, 10.5 s of pause
        "Stimulus,S  1,1001,1,0",
        segment(2001, "20240106000020500000"),  # without a pause
        "Stimulus,S  1,2501,1,0",
    )
    recording = open_recording(tmp_path / "a.vhdr", None)
    assert recording.pulses_s() == pytest.approx([5, 20.5, 35.5])
    assert recording.times_s()[[999, 1000, -1]] == pytest.approx([9.99, 20.5, 40.49])
    assert recording.duration_s == pytest.approx(40.5)
    assert recording.stamped
    assert recording.findings() == []


def test_segments_without_usable_dates_are_reported(tmp_path):
    for date, finding in (
        ("0", "a pause of unknown duration at 10.0 s"),
        ("20240105230000000000", "begins 3610.0 s before the end of the previous one"),
    ):
        brainvision(tmp_path / "a.vhdr", segment(1, "20240106000000000000"), segment(1001, date))
        recording = open_recording(tmp_path / "a.vhdr", None)
        assert finding in recording.findings()[0]
        assert recording.times_s() == pytest.approx(np.arange(N) / RATE_HZ)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("µV", 1), ("uV", 1), ("microvolts", 1), ("UV", 1), ("", 1), ("mV", 1e3), ("nV", 1e-3)],
)
def test_units_of_brainvision_are_read_from_its_header(tmp_path, unit, factor):
    path = tmp_path / "a.vhdr"
    brainvision(path)
    header = path.read_text(encoding="utf-8")
    assert ",0.1,µV" in header
    path.write_text(header.replace(",0.1,µV", f",0.1,{unit}"), encoding="utf-8")
    values = open_recording(path, None).values(NAMES, 1.0)
    assert values == pytest.approx(factor * VALUES, abs=factor * 1e-7)


@pytest.mark.parametrize("first_samp", [0, 500])
def test_skips_of_fif_are_gaps(tmp_path, first_samp):
    data = np.concatenate([VALUES[:1000], np.zeros((500, 3)), VALUES[1000:]])
    info = mne.create_info(list(NAMES), RATE_HZ, "eeg")
    raw = mne.io.RawArray(data.T, info, first_samp=first_samp, verbose="error")
    raw.set_meas_date(0)
    first_s = first_samp / RATE_HZ
    raw.set_annotations(
        mne.Annotations(
            np.array([2.0, 10.0, 20.0]) + first_s,
            [0, 5, 0],
            ["sync", "BAD_ACQ_SKIP", "sync"],
            orig_time=raw.info["meas_date"],
        )
    )
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    recording = open_recording(tmp_path / "a_raw.fif", None)
    assert recording.n_samples == N
    assert recording.values(NAMES, 1.0) == pytest.approx(VALUES, abs=1e-10)
    assert recording.times_s()[[999, 1000]] == pytest.approx([9.99, 15])
    assert recording.pulses_s() == pytest.approx([2, 20])
    assert recording.duration_s == pytest.approx(35)


def test_joints_of_fif_are_reported(tmp_path):
    parts = [
        mne.io.RawArray(part.T, mne.create_info(list(NAMES), RATE_HZ, "eeg"), verbose="error")
        for part in (VALUES[:1000], VALUES[1000:2500], VALUES[2500:])
    ]
    mne.concatenate_raws(parts).save(tmp_path / "a_raw.fif", verbose="error")
    assert open_recording(tmp_path / "a_raw.fif", None).findings() == [
        "recordings were joined at 10.0 s: the pause is unknown",
        "recordings were joined at 25.0 s: the pause is unknown",
    ]


def write_set(
    path: Path, events: list[tuple[str, float, object]], samples: str | None = None
) -> None:
    fields = [("type", object), ("latency", object), ("duration", object)]
    content = {
        "setname": "x",
        "nbchan": len(NAMES),
        "trials": 1,
        "pnts": N,
        "srate": float(RATE_HZ),
        "xmin": 0.0,
        "xmax": N / RATE_HZ,
        "data": samples or (VALUES.T * 1e6).astype("f4"),
        "chanlocs": np.array([(name,) for name in NAMES], dtype=[("labels", object)]),
        "event": np.array(events, dtype=fields),
        **{key: [] for key in ("icawinv", "icasphere", "icaweights", "epoch")},
        "ref": "common",
    }
    scipy.io.savemat(path, {"EEG": content}, appendmat=False)


def test_cuts_of_eeglab_are_gaps_also_beyond_the_last_sample(tmp_path):
    write_set(
        tmp_path / "a.set",
        [
            ("boundary", 0.5, 700),  # before the first sample
            ("sync", 501, 0),
            ("boundary", 1000.5, 4000),
            ("sync", 1001, 0),
            ("boundary", 2000.5, np.nan),
            ("sync", 2501, 0),
        ],
    )
    recording = open_recording(tmp_path / "a.set", None)
    assert recording.pulses_s() == pytest.approx([5, 50, 65])
    assert recording.times_s()[[0, 999, 1000, -1]] == pytest.approx([0, 9.99, 50, 69.99])
    assert recording.findings() == ["a cut of unknown duration at 20.0 s"]
    assert recording.values(NAMES, 1e-6) == pytest.approx(VALUES, abs=1e-10)


def test_a_set_whose_samples_are_shorter_or_longer_than_declared(tmp_path):
    write_set(tmp_path / "a.set", [("sync", 501, 0)], samples="a.fdt")
    samples = tmp_path / "a.fdt"
    whole = np.ascontiguousarray(VALUES * 1e6, "<f4").tobytes()
    samples.write_bytes(whole + b"1234")
    recording = open_recording(tmp_path / "a.set", None)
    assert recording.findings() == ["4 bytes of a.fdt after the last sample left out"]
    assert recording.values(NAMES, 1e-6) == pytest.approx(VALUES, abs=1e-10)
    samples.write_bytes(whole[:-4])
    with pytest.raises(RecordingError, match="truncated"):
        open_recording(tmp_path / "a.set", None)
    samples.write_bytes(whole.replace(b"\n", b"\r\n"))
    with pytest.raises(RecordingError, match="conversion of line ends"):
        open_recording(tmp_path / "a.set", None)


def test_samples_of_brainvision_are_compared_with_the_header(tmp_path):
    path = tmp_path / "a.vhdr"
    brainvision(path)
    samples = path.with_suffix(".eeg")
    whole = samples.read_bytes()
    samples.write_bytes(whole + b"1")
    assert open_recording(path, None).findings() == [
        "1 byte of a.eeg after the last sample left out"
    ]
    samples.write_bytes(whole.replace(b"\n", b"\r\n"))
    with pytest.raises(RecordingError, match="conversion of line ends"):
        open_recording(path, None)
    samples.write_bytes(whole[:-400])
    assert open_recording(path, None).n_samples < N
    header = path.read_text(encoding="utf-8")
    path.write_text(
        header.replace("[Common Infos]", f"[Common Infos]\nDataPoints={N}"), encoding="utf-8"
    )
    with pytest.raises(RecordingError, match="the samples are truncated: "):
        open_recording(path, None)
