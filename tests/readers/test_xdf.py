from __future__ import annotations

import gzip
import re
import struct
from contextlib import suppress

import numpy as np
import pytest
import pyxdf
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import EegParams
from consilience.readers import xdf
from consilience.readers import xdf as reader

MUSE = "muse2_sub-P{}_ses-S001_task-Default_run-001_eeg.xdf"


@pytest.fixture(scope="module")
def two_alike(tmp_path_factory, xdf):
    """Two streams that share name and type on separate clocks, a marker, an empty one."""
    stream, write = xdf
    times = np.arange(1000) / 100
    return write(
        tmp_path_factory.mktemp("xdf") / "a session.xdf",
        stream("Muse", "EEG", 100, np.sin(times), 50 + times, ("Cz",), offsets=((50, 7), (60, 7))),
        stream("Muse", "EEG", 100, np.cos(times), 157 + times, ("Cz",), offsets=((157, -99.5),)),
        stream("Rating", "Markers", 0, ["calm", "ångest"], [58.0, 59.0], offsets=()),
        stream("Ring", "GSR", 4, [], [], ("EDA",)),
    )


def test_streams_of_the_same_name_have_different_items(two_alike):
    sizes = {stream.item: stream.n_samples for stream in xdf.streams(two_alike)}
    assert sizes == {"EEG#1": 1000, "EEG#2": 1000, "Markers#3": 2, "GSR#4": 0}


def test_time_stamps_are_the_senders_and_anchors_map_to_the_session(two_alike):
    first, second = xdf.read(two_alike, "EEG#1"), xdf.read(two_alike, "EEG#2")
    assert first.values[0, 0] == 0
    assert second.values[0, 0] == 1
    # The session begins with the first sample on the recording computer's clock: 50 + 7 s.
    assert first.stamps_s[:2] == pytest.approx([-7, -6.99])
    assert first.anchors_s[:, 1] - first.anchors_s[:, 0] == pytest.approx([7, 7])
    session_s = second.stamps_s[0] + second.anchors_s[0, 1] - second.anchors_s[0, 0]
    assert session_s == pytest.approx(157 - 99.5 - 57)


def test_text_is_read(two_alike):
    read = xdf.read(two_alike, "markers")
    assert read.values[:, 0].tolist() == ["calm", "ångest"]
    assert read.anchors_s.shape == (0, 2)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("EEG", "more than one stream is 'EEG'.*EEG#1, EEG#2"),
        ("ECG", "no stream is 'ECG'"),
        (None, "no stream is"),
        ("GSR", r"GSR#4 \('Ring'\) is empty"),
    ],
)
def test_an_ambiguous_item_is_an_error_that_lists_the_streams(two_alike, item, message):
    with pytest.raises(RecordingError, match=message):
        xdf.read(two_alike, item)


def test_identity_depends_on_the_stream(two_alike):
    one, other = (xdf.identity(two_alike, f"EEG#{number}") for number in (1, 2))
    assert one != other
    assert one == xdf.identity(two_alike, "eeg#1")


def chunk(tag: int, content: bytes) -> bytes:
    return b"\x08" + struct.pack("<QH", len(content) + 2, tag) + content


HEADER = (
    "<info><name>a</name><type>EEG</type><channel_count>{channels}</channel_count>"
    "<nominal_srate>{rate}</nominal_srate><channel_format>{form}</channel_format></info>"
)


def described(channels: object = 1, rate: object = 100, form: str = "float32") -> bytes:
    text = HEADER.format(channels=channels, rate=rate, form=form)
    return chunk(2, struct.pack("<I", 1) + text.encode())


LAUGHS = (
    '<!DOCTYPE a [<!ENTITY b "ha">'
    + "".join(
        f'<!ENTITY {x} "{f"&{y};" * 10}">' for y, x in zip("bcdefghi", "cdefghij", strict=True)
    )
    + "]><info><name>&j;</name></info>"
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"XDF",
        b"RIFF" + bytes(100),
        b"XDF:\x08" + struct.pack("<Q", 2**62),
        b"XDF:" + described() + chunk(3, struct.pack("<IBQ", 1, 8, 2**60)),
        b"XDF:" + described(form="string") + chunk(3, struct.pack("<IBI", 1, 4, 2**31)),
        b"XDF:" + described(channels=10**9) + chunk(3, struct.pack("<IBB", 1, 1, 0)),
        b"XDF:" + described(channels=-1),
        b"XDF:" + described(rate=1e12),
        b"XDF:" + described(rate="nan"),
        b"XDF:" + described(form="pickle"),
        b"XDF:" + chunk(3, struct.pack("<IBB", 9, 1, 1)),
        b"XDF:" + chunk(2, struct.pack("<I", 1) + b"<info><name>"),
        b"XDF:" + chunk(2, struct.pack("<I", 1) + LAUGHS.encode()),
        b"XDF:" + described() + chunk(3, struct.pack("<IBBBd", 1, 1, 1, 8, np.nan) + bytes(4)),
    ],
)
def test_hostile_files_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "a.xdf"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="XDF") as caught:
        xdf.streams(path)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_damaged_file_is_read_or_refused(two_alike, data):
    content = bytearray(two_alike.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = two_alike.with_name("damaged.xdf")
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(RecordingError):
        for stream in xdf.streams(path):
            xdf.read(path, stream.item)


@given(st.data())
def test_a_cut_file_yields_a_prefix_or_a_refusal(two_alike, data):
    content = two_alike.read_bytes()
    whole = {stream.item: stream.n_samples for stream in xdf.streams(two_alike)}
    path = two_alike.with_name("cut.xdf")
    path.write_bytes(content[: data.draw(st.integers(4, len(content) - 1))])
    with suppress(RecordingError):
        for stream in xdf.streams(path):
            assert stream.n_samples <= whole[stream.item]
            if stream.n_samples:
                part, full = (xdf.read(file, stream.item) for file in (path, two_alike))
                assert (part.values == full.values[: len(part.values)]).all()


def footer(stream_id: int, text: str) -> bytes:
    return chunk(6, struct.pack("<I", stream_id) + text.encode())


def crashed(xdf, path, n_chunks=4):
    """Write a stream of chunks of 50 samples, without a footer; return the lengths of its parts."""
    stream, write = xdf
    times = 100 + np.arange(50) / 100
    write(path, stream("Amp", "EEG", 100, np.ones(50), times, ("Cz",)))
    lengths = [path.stat().st_size]
    for number in range(1, n_chunks):
        one = stream("Amp", "EEG", 100, np.ones(50), times + number / 2, ("Cz",))
        with path.open("ab") as file:
            file.write(chunk(3, struct.pack("<I", 1) + one.samples()))
        lengths.append(path.stat().st_size)
    return lengths


@pytest.mark.parametrize(
    ("end", "n_samples", "notes"),
    [
        (b"", 200, ["no footer for EEG#1: the recorder did not finish the file"]),
        (footer(1, "<info/>"), 200, []),
        (footer(1, "<info><sample_count>200</sample_count></info>"), 200, []),
        (
            footer(1, "<info><sample_count>210</sample_count></info>"),
            200,
            ["stream EEG#1 has 200 samples, its footer declares 210"],
        ),
        (footer(1, "<info><sample_co"), 200, ["the footer of stream 1 is broken: it is ignored"]),
        (bytes(4096), 200, ["the file breaks off at byte {} of {} .* recorded before is read"]),
        (chunk(3, struct.pack("<IBB", 7, 1, 1)), 200, ["breaks off at byte {}"]),
        (None, 150, ["breaks off at byte {} "]),
    ],
)
def test_what_was_recorded_before_a_crash_is_read(xdf, tmp_path, end, n_samples, notes):
    path = tmp_path / "crashed.xdf"
    lengths = crashed(xdf, path)
    content = path.read_bytes()
    path.write_bytes(content + end if end is not None else content[:-10])
    whole = lengths[-1 if end is not None else -2]
    read, findings = reader.read(path, "EEG"), reader.findings(path, "EEG")
    assert read.values.shape == (n_samples, 1)
    assert read.times_s[-1] - read.times_s[0] == pytest.approx((n_samples - 1) / 100)
    assert len(findings) == len(notes)
    for finding, note in zip(findings, notes, strict=True):
        assert re.search(note.format(whole, path.stat().st_size), finding)


def test_a_conversion_of_line_ends_is_named(xdf, tmp_path):
    path = tmp_path / "a.xdf"
    crashed(xdf, path)
    lines = chunk(5, bytes(range(256)) * 40)
    path.write_bytes((path.read_bytes() + lines).replace(b"\n", b"\r\n"))
    with pytest.raises(RecordingError, match="damaged by a conversion of line ends"):
        reader.streams(path)


def test_a_packed_file_is_read_also_if_it_breaks_off(xdf, tmp_path):
    plain = tmp_path / "plain.xdf"
    crashed(xdf, plain)
    packed = gzip.compress(plain.read_bytes())
    for name, content, n_samples in (("a.xdfz", packed, 200), ("b.xdf", packed, 200)):
        (tmp_path / name).write_bytes(content)
        assert reader.read(tmp_path / name, "EEG").values.shape == (n_samples, 1)
        assert modality.probe(tmp_path / name, "EEG#1").rate_hz == 100
    noise = np.random.default_rng(0).bytes(20_000)  # so that the packed file has several blocks
    (tmp_path / "c.xdfz").write_bytes(
        gzip.compress(plain.read_bytes() + chunk(5, noise) + chunk(5, noise))[:-9_000]
    )
    assert reader.read(tmp_path / "c.xdfz", "EEG").values.shape == (200, 1)
    assert "breaks off" in reader.findings(tmp_path / "c.xdfz", "EEG")[0]


def test_a_packed_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(xdf, "SMALL_BYTES", 2**20)
    path = tmp_path / "bomb.xdfz"
    path.write_bytes(gzip.compress(b"XDF:" + bytes(2**23)))
    with pytest.raises(RecordingError, match="unpacked, it would take more than"):
        xdf.streams(path)


@pytest.mark.parametrize(
    ("stamps_s", "offsets", "message"),
    [
        (1.6e9, ((5000.0, 0.1), (5005.0, 0.1)), "clock offsets .* from 5000 s.* different clocks"),
        (0.0, ((5000.0, 0.1), (5005.0, 0.1)), "different clocks"),
        (1.6e9, (), "not on the clock of the other streams, from 5000 s"),
        (1.6e9, ((1.6e9, 0.1), (1.6e9 + 5, 0.1)), "not on the clock of the other streams, from 50"),
        (5100.0, ((5090.0, 0.1), (5105.0, 0.1)), ""),
        (5100.0, (), ""),
    ],
)
def test_time_stamps_of_another_clock_are_found_and_not_aligned(
    xdf, tmp_path, stamps_s, offsets, message
):
    stream, write = xdf
    times = np.arange(500) / 100
    path = write(
        tmp_path / "clocks.xdf",
        stream("Amp", "EEG", 100, times, stamps_s + times, ("Cz",), offsets=offsets),
        stream("Keys", "Markers", 0, ["a", "b"], [5000.0, 5020.0], offsets=((5000, 0), (5005, 0))),
    )
    faults = [what for what in reader.findings(path, "EEG") if "footer" not in what]
    assert bool(faults) == bool(message)
    read = reader.read(path, "EEG")
    if message:
        assert re.search(f"stream EEG#1 .'Amp'.: .*{message}", faults[0])
        assert read.anchors_s.shape == (0, 2)
        assert read.times_s == pytest.approx(times, abs=1e-6)
    else:
        assert read.times_s == pytest.approx(100 + times)


@pytest.fixture
def muse(real_data):
    return lambda subject: real_data / "xdf" / MUSE.format(subject)


@pytest.mark.real_data
def test_muse_streams_have_their_sizes(muse):
    sizes = {stream.item: stream.n_samples for stream in xdf.streams(muse("003"))}
    assert sizes == {"ACC#1": 0, "EEG#2": 2688, "PPG#3": 0, "GYRO#4": 0}
    assert {stream.name for stream in xdf.streams(muse("003"))} == {"Muse"}
    with pytest.raises(RecordingError, match=r"PPG#3 \('Muse'\) is empty .*device"):
        xdf.read(muse("003"), "PPG")


@pytest.mark.real_data
def test_muse_is_read_as_pyxdf_reads_it(muse):
    read = xdf.read(muse("001"), "EEG")
    raw, _ = pyxdf.load_xdf(str(muse("001")), [{"type": "EEG"}], synchronize_clocks=False)
    assert np.array_equal(read.values, raw[0]["time_series"])
    assert np.diff(read.times_s) == pytest.approx(np.diff(raw[0]["time_stamps"]), abs=1e-9)
    assert read.anchors_s.shape == (3, 2)
    assert np.abs(read.anchors_s[:, 1] - read.anchors_s[:, 0]).max() < 1e-4  # one computer


@pytest.mark.real_data
def test_muse_becomes_eeg_features(muse):
    params = EegParams(channels=("TP9", "AF7", "AF8", "TP10"))
    header = modality.probe(muse("002"), "EEG")
    signal = modality.read(muse("002"), "EEG", params)
    features = modality.features(signal, params)
    assert (header.rate_hz, header.n_channels) == (256, 4)
    assert signal.channels == params.channels  # AUX_RIGHT is no electrode of the 10-20 system
    assert 1e-6 < np.median(np.abs(signal.values - signal.values.mean(axis=0))) < 1e-3
    assert np.isfinite(features.values).all()


@pytest.mark.real_data
def test_the_format_examples_are_read(real_data):
    empty = {s.item: s.n_samples for s in xdf.streams(real_data / "xdf" / "empty_streams.xdf")}
    assert empty == {"control#1": 1, "data#2": 0, "data#3": 0, "data#4": 10}
    minimal = xdf.read(real_data / "xdf" / "minimal.xdf", "EEG")
    assert minimal.values.shape == (9, 3)
    assert minimal.anchors_s == pytest.approx(np.array([[1.1, 1.0], [2.1, 2.0]]))
