from dataclasses import replace
from pathlib import Path

import mne
import numpy as np
import pytest
from edfio import Edf, EdfSignal
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from consilience.core import scratch
from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities import eeg
from consilience.modalities.eeg import bad_channels, channel_levels, modality, prepare
from consilience.modalities.params.eeg import EegParams
from consilience.readers import edf
from consilience.readers.markers import rising_edges
from consilience.signals.eeg_quality import measures
from consilience.signals.types import Signal
from tests.modalities.block_sizes import check_blocks_change_nothing
from tests.real_data import NO_REAL_DATA, REAL_DATA

PARAMS = EegParams()
EMOTIV = EegParams(
    channels=(
        *("AF3", "F7", "F3", "FC5", "T7", "P7", "O1"),
        *("O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
    )
)
RATE_HZ = 250
BANDS = list(PARAMS.bands_hz)
DATA = REAL_DATA


def brain(duration_s: float = 8.0, alpha_uv: float = 10.0) -> np.ndarray:
    """Return (n_samples, n_channels) volts: pink background, shared alpha, mains hum."""
    rng = generator("brain")
    n_samples, n_channels = int(duration_s * RATE_HZ), len(PARAMS.channels)
    times = np.arange(n_samples) / RATE_HZ
    spectrum = np.fft.rfft(rng.standard_normal((n_channels, n_samples)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.shape[1] + 1)), n_samples)
    pink *= 8 / pink.std(axis=1, keepdims=True)
    alpha = alpha_uv * rng.normal(0, 1, (n_channels, 1)) * np.sin(2 * np.pi * 10 * times)
    hum = 3 * np.sin(2 * np.pi * 50 * times)
    return 1e-6 * (pink + alpha + hum).T


def signal_of(values: np.ndarray, names: tuple[str, ...] = PARAMS.channels) -> Signal:
    return Signal(values, np.arange(len(values)) / RATE_HZ, names)


def bads_of(values: np.ndarray) -> dict[int, str]:
    prepared = prepare(signal_of(values), PARAMS)
    even, levels = prepared.even, channel_levels(prepared)
    flat = measures(even.source, even.n_samples, RATE_HZ, PARAMS.mains_hz).flat
    return bad_channels(prepared, levels, flat, PARAMS)


def write_edf(path: Path, values: np.ndarray, names: list[str], **others: np.ndarray) -> Path:
    signals = [
        EdfSignal(
            column * 1e6, RATE_HZ, label=name, physical_dimension="uV", physical_range=(-500, 500)
        )
        for name, column in zip(names, values.T, strict=True)
    ]
    signals += [
        EdfSignal(line, RATE_HZ, label=name, physical_range=(0, 255), digital_range=(0, 255))
        for name, line in others.items()
    ]
    Edf(signals, data_record_duration=1).write(path)
    return path


def test_edf_is_read_in_volts_without_other_channels(tmp_path: Path) -> None:
    trigger = np.zeros(2000)
    for first in (100, 777, 1500):
        trigger[first : first + 5] = 1
    names = [f"EEG {name.upper()}-REF" for name in PARAMS.channels]
    path = write_edf(
        tmp_path / "a.edf", brain(), names, TRIG=trigger, COUNTER=np.arange(2000) % 128.0
    )
    header = modality.probe(path, None)
    signal = modality.read(path, None, PARAMS)
    assert (header.rate_hz, header.n_channels, header.duration_s) == (RATE_HZ, 19, 8.0)
    assert signal.channels == PARAMS.channels
    assert np.abs(signal.values - brain()).max() < 1e-7
    assert (signal.pulses_s * RATE_HZ).tolist() == [100, 777, 1500]


def write_with_unit(path: Path, unit: str, scale: float = 1.0) -> Path:
    signals = [
        EdfSignal(
            scale * 1e6 * column,
            RATE_HZ,
            label=name,
            physical_dimension=unit,
            physical_range=(-500 * scale, 500 * scale),
        )
        for name, column in zip(PARAMS.channels, brain().T, strict=True)
    ]
    Edf(signals, data_record_duration=1).write(path)
    return path


@pytest.mark.parametrize(
    ("unit", "scale"), [("UV", 1), ("microV", 1), (".V", 1), ("nV", 1000), ("mV", 0.001), ("", 1)]
)
def test_values_are_in_volts_whatever_the_spelling_of_the_unit(tmp_path, unit, scale) -> None:
    path = write_with_unit(tmp_path / "a.edf", unit, scale)
    assert np.abs(modality.read(path, None, PARAMS).values - brain()).max() < 1e-7
    notes = modality.inspect(path, None)
    assert len(notes) == (unit == "")
    assert all("no unit is stated for 19 channels (Fp1, Fp2, F7, F3, …)" in note for note in notes)


@pytest.mark.parametrize("unit", ["foo", "uS", "Boolean"])
def test_an_unknown_unit_is_refused(tmp_path, unit) -> None:
    path = write_with_unit(tmp_path / "a.edf", unit)
    with pytest.raises(RecordingError, match=f"'Fp1' has the unit '{unit}', not a known unit"):
        modality.probe(path, None)


@pytest.mark.parametrize(("unit", "amplitude"), [("V", r"[\d.]+e\+0\d"), ("nV", "0.0")])
def test_an_impossible_amplitude_is_refused_with_its_amount(tmp_path, unit, amplitude) -> None:
    path = write_with_unit(tmp_path / "a.edf", unit)
    with pytest.raises(
        RecordingError, match=f"median RMS of the EEG is {amplitude}.*µV.*states {unit}"
    ):
        modality.read(path, None, PARAMS)
    assert "possible are 0.1 to 1000 µV" in modality.inspect(path, None)[0]


def test_duplicate_electrodes_and_other_rates_are_reported(tmp_path: Path) -> None:
    names = [*PARAMS.channels, "EEG Cz-Ref"]
    values = np.column_stack([brain(), brain()[:, 9]])
    path = write_edf(tmp_path / "a.edf", values, names)
    assert modality.inspect(path, None) == ["Cz, EEG Cz-Ref are one electrode: Cz is used"]
    signals = [
        EdfSignal(
            1e6 * column[:: 2 if name == "O1" else 1],
            RATE_HZ / (2 if name == "O1" else 1),
            label=name,
            physical_dimension="uV",
            physical_range=(-500, 500),
        )
        for name, column in zip(PARAMS.channels, brain().T, strict=True)
    ]
    Edf(signals, data_record_duration=1).write(path)
    assert modality.probe(path, None).n_channels == 18
    assert modality.inspect(path, None) == ["another sampling rate, not used: O1"]
    assert modality.configured(PARAMS).inspect(path, None)[1] == "missing channels: O1"


def test_aliases_map_the_names_of_files(tmp_path: Path) -> None:
    aliases = {f"Chan {number}": name for number, name in enumerate(PARAMS.channels, 1)}
    path = write_edf(tmp_path / "a.edf", brain(), list(aliases))
    with pytest.raises(RecordingError, match=r"params\.modalities\.eeg\.aliases"):
        modality.probe(path, None)
    params = EegParams(aliases=aliases)
    assert modality.configured(params).probe(path, None).n_channels == 19
    assert modality.configured(params).inspect(path, None) == []
    assert modality.read(path, None, params).channels == PARAMS.channels
    with pytest.raises(ValidationError, match="aliases must be 10-20 names, not Nose"):
        EegParams(aliases={"Chan 1": "Nose"})


def test_a_recording_that_lacks_most_channels_is_reported_before_it_is_quarantined(
    tmp_path: Path,
) -> None:
    path = write_edf(tmp_path / "a.edf", brain()[:, :9], list(PARAMS.channels[:9]))
    for max_bad_fraction, too_many in ((0.5, True), (0.6, False)):
        params = EegParams(max_bad_fraction=max_bad_fraction)
        (finding,) = modality.configured(params).inspect(path, None)
        assert finding.startswith("missing channels: Cz, C4,")
        assert finding.endswith("O2, too many: it will be quarantined") == too_many


def test_the_parameters_may_name_the_code_of_synchronisation(tmp_path: Path) -> None:
    trigger = np.zeros(2000)
    for first, code in ((100, 1), (500, 1), (900, 9)):
        trigger[first : first + 5] = code
    path = write_edf(tmp_path / "a.edf", brain(), list(PARAMS.channels), TRIG=trigger)
    for code, pulses in ((None, [100, 500]), (9, [900])):
        params = EegParams(sync_code=code)
        assert (modality.read(path, None, params).pulses_s * RATE_HZ).tolist() == pulses


@pytest.mark.parametrize("suffix", [".fif", ".vhdr"])
def test_other_formats_of_mne_are_read(tmp_path: Path, suffix: str) -> None:
    info = mne.create_info(list(PARAMS.channels), RATE_HZ, "eeg")
    raw = mne.io.RawArray(brain().T, info, verbose="error")
    path = tmp_path / f"a_raw{suffix}"
    if suffix == ".fif":
        raw.save(path, verbose="error")
    else:
        write_brainvision(path, brain())
    signal = modality.read(path, None, PARAMS)
    assert np.abs(signal.values - brain()).max() < 1e-7
    assert len(modality.identity(path, None)) == 64


def write_brainvision(path: Path, values: np.ndarray) -> None:
    channels = "\n".join(f"Ch{i}={name},,1,µV" for i, name in enumerate(PARAMS.channels, 1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile={path.stem}.eeg\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={values.shape[1]}\nSamplingInterval={1e6 / RATE_HZ}\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}\n",
        encoding="utf-8",
    )
    (values * 1e6).astype("<f4").tofile(path.with_suffix(".eeg"))


def test_identity_follows_the_data_of_brainvision(tmp_path: Path) -> None:
    path = tmp_path / "a.vhdr"
    write_brainvision(path, brain())
    before = modality.identity(path, None)
    write_brainvision(path, 2 * brain())
    assert modality.identity(path, None) != before


def test_features_have_one_column_per_channel_and_band() -> None:
    features = modality.features(signal_of(brain()), PARAMS)
    assert features.values.shape == (29, 19 * 5)
    assert features.names[:2] == ("Fp1_delta_log10_uv2", "Fp1_theta_log10_uv2")
    assert np.isfinite(features.values).all()
    assert np.allclose(features.times_s - features.times_s[0], np.arange(29) / 4, atol=1 / RATE_HZ)
    assert features.times_s[0] == pytest.approx(0.5, abs=0.01)
    assert features.quality["quality"] == pytest.approx(1, abs=0.2)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(BANDS), st.floats(0.1, 0.9), st.floats(1, 50))
def test_a_sine_has_its_power_in_its_band(band: str, where: float, amplitude_uv: float) -> None:
    low, high = PARAMS.bands_hz[band]
    hz = low + 1.5 + where * max(high - low - 3, 0)
    sine = amplitude_uv * 1e-6 * np.sin(2 * np.pi * hz * np.arange(3000) / RATE_HZ)
    # Of two opposite channels among others at rest, the average is 0.
    values = brain(12) * 1e-3
    values[:, 0] += sine
    values[:, 1] -= sine
    params = PARAMS.model_copy(update={"bad_z": 1e3})
    power = 10.0 ** modality.features(signal_of(values), params).values.reshape(-1, 19, 5)
    assert power[8:-8, :2, BANDS.index(band)] == pytest.approx(amplitude_uv**2 / 2, rel=0.05)


def test_more_alpha_shows_in_alpha_alone() -> None:
    weak, strong = (
        modality.features(signal_of(brain(alpha_uv=a)), PARAMS).values.mean(axis=0).reshape(19, 5)
        for a in (2.0, 20.0)
    )
    change = np.median(strong - weak, axis=0)
    assert change[BANDS.index("alpha")] > 1
    assert abs(change[BANDS.index("beta")]) < 0.1


def test_the_order_of_channels_in_the_file_does_not_matter() -> None:
    order = generator("order").permutation(19)
    names = tuple(PARAMS.channels[i] for i in order)
    first = modality.features(signal_of(brain()), PARAMS)
    second = modality.features(signal_of(brain()[:, order], names), PARAMS)
    assert np.allclose(first.values, second.values, atol=1e-4)


def test_hum_is_removed() -> None:
    values = brain()
    hum = 30e-6 * np.sin(2 * np.pi * 50 * np.arange(len(values)) / RATE_HZ)
    some = values + hum[:, None] * generator("hum").uniform(0.5, 1.5, 19)
    first = modality.features(signal_of(values), PARAMS)
    second = modality.features(signal_of(some), PARAMS)
    inner = slice(4, -4)
    assert np.abs(first.values[inner] - second.values[inner]).mean() < 0.05
    assert second.quality["line_noise_db"] > first.quality["line_noise_db"] + 10


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda x: np.zeros_like(x), "flat"),
        (lambda x: np.where(np.arange(len(x)) < 700, np.nan, x), "without contact"),
        (lambda x: x + 3e-4 * generator(1).standard_normal(len(x)), "unusual"),
        (lambda x: 0.01 * x, "unusual"),
    ],
)
def test_a_bad_channel_is_found_and_interpolated(damage, reason: str) -> None:
    values = brain()
    good = modality.features(signal_of(values), PARAMS).values
    values[:, 9] = damage(values[:, 9])
    bads = bads_of(values)
    assert list(bads) == [9]
    assert bads[9].startswith(reason)
    features = modality.features(signal_of(values), PARAMS)
    others = np.ones(19, bool)
    others[9] = False
    difference = np.abs(features.values - good).reshape(-1, 19, 5)
    assert np.isfinite(features.values).all()
    assert difference[:, others].mean() < 0.1
    assert features.quality["bad_channel_fraction"] == pytest.approx(1 / 19)


def test_good_channels_are_not_called_bad() -> None:
    assert bads_of(brain()) == {}


def test_a_missing_channel_is_interpolated_and_counted() -> None:
    features = modality.features(signal_of(brain()[:, 1:], PARAMS.channels[1:]), PARAMS)
    assert features.values.shape[1] == 19 * 5
    assert np.isfinite(features.values).all()
    assert features.quality["bad_channel_fraction"] == pytest.approx(1 / 19)


@pytest.mark.parametrize("fill", [0.0, np.nan, 1e-3])
def test_dead_channels_are_named(fill: float) -> None:
    with pytest.raises(
        RecordingError, match=r"19 of 19 channels are unusable: Fp1 (flat|without contact)"
    ):
        modality.features(signal_of(np.full((2000, 19), fill)), PARAMS)


def test_another_montage_teaches_the_parameter() -> None:
    names = ("PO7", "PO8", "CP1", "CP2", "FT9")
    with pytest.raises(RecordingError, match=r"has PO7, .*modalities\.eeg\.channels"):
        modality.features(signal_of(brain()[:, :5], names), PARAMS)


@pytest.mark.parametrize(
    ("values", "rate_hz", "message"),
    [
        (np.empty((0, 19)), RATE_HZ, "0 samples"),
        (np.zeros((100, 19)), RATE_HZ, "too short"),
        (brain(), 50, "too few for bands"),
    ],
)
def test_unusable_recordings_are_refused(values: np.ndarray, rate_hz: int, message: str) -> None:
    signal = Signal(values, np.arange(len(values)) / rate_hz, PARAMS.channels)
    with pytest.raises(RecordingError, match=message):
        modality.features(signal, PARAMS)


@given(st.lists(st.integers(2, 20), min_size=1, max_size=20), st.integers(1, 255))
def test_every_trigger_has_its_rising_edge(gaps: list[int], code: int) -> None:
    firsts = np.cumsum([gap + 20 for gap in gaps])
    line = np.zeros(firsts[-1] + 30)
    for first in firsts:
        line[first : first + 5] = code
    assert rising_edges(line).tolist() == firsts.tolist()


def test_a_quiet_trigger_line_has_no_edge() -> None:
    assert rising_edges(np.ones(100)).size == 0


def empty(path: Path) -> None:
    path.write_bytes(b"")


def truncated(path: Path) -> None:
    write_edf(path, brain(), list(PARAMS.channels))
    path.write_bytes(path.read_bytes()[:-5000])


def text(path: Path) -> None:
    path.write_text("onset,duration\n" * 100)


def short_header(path: Path) -> None:
    write_edf(path, brain(), list(PARAMS.channels))
    path.write_bytes(path.read_bytes()[:300])


def no_records(path: Path) -> None:
    write_edf(path, brain(), list(PARAMS.channels))
    content = bytearray(path.read_bytes())
    content[236:244] = b"0       "
    path.write_bytes(content[: int(content[184:192])])


def absurd_rate(path: Path) -> None:
    write_edf(path, brain(), list(PARAMS.channels))
    content = bytearray(path.read_bytes())
    content[244:252] = b"0.0001  "
    path.write_bytes(content)


def no_eeg(path: Path) -> None:
    write_edf(path, brain()[:, :2], ["ECG", "RESP"])


@pytest.mark.parametrize(
    ("make", "suffix", "message"),
    [
        (empty, ".edf", "empty"),
        (truncated, ".edf", "truncated"),
        (text, ".edf", "not a readable EDF"),
        (short_header, ".edf", "not a readable EDF"),
        (no_records, ".edf", "no samples"),
        (absurd_rate, ".edf", "invalid sampling rate"),
        (no_eeg, ".edf", "no channel has a 10-20 name; there are ECG, RESP"),
        (text, ".fif", "not a readable FIF file"),
        (text, ".vhdr", "not a readable VHDR file"),
    ],
)
def test_bad_files_are_refused_in_one_line(make, suffix: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"a_raw{suffix}"
    make(path)
    with pytest.raises(RecordingError, match=message) as caught:
        modality.probe(path, None)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"bands_hz": {"alpha": (13, 8)}}, {"channels": ("Cz", "cz")}, {"channels": ("Q9",)}, {"z": 1}],
)
def test_inconsistent_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        EegParams(**wrong)


@pytest.mark.parametrize("subject", [1, 9, 17])
@pytest.mark.real_data
@pytest.mark.skipif(not DATA.is_dir(), reason=NO_REAL_DATA)
def test_dasps_gives_sane_features(subject: int) -> None:
    path = DATA / "dasps" / f"S{subject:02}.edf"
    header = modality.probe(path, None)
    signal = modality.read(path, None, EMOTIV)
    features = modality.features(signal, EMOTIV)
    power = features.values.reshape(-1, 14, 5)
    assert (header.rate_hz, header.n_channels) == (128, 14)
    assert header.start_time is not None
    assert header.start_time.startswith("2017")
    assert signal.channels == EMOTIV.channels
    seen = power[np.isfinite(power).all(axis=(1, 2))]
    assert np.isnan(power).all(axis=(1, 2)).sum() == len(power) - len(seen) < 0.1 * len(power)
    assert -2 < np.median(seen) < 3
    assert np.median(seen[:, :, 0] - seen[:, :, 4]) > 0.3  # 1/f: more delta than gamma


@pytest.mark.parametrize("lost", [False, True], ids=["complete", "with gaps"])
def test_temporary_files_and_blocks_change_no_value(
    lost: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write_edf(tmp_path / "a.edf", brain(40.0), list(PARAMS.channels))

    def computed() -> list[np.ndarray]:
        signal = modality.read(path, None, PARAMS)
        if lost:
            signal.values[900:1200, 3] = signal.values[5000:5100] = np.nan
            rows = np.delete(np.arange(len(signal.values)), slice(7000, 7300))
            signal = replace(signal, values=signal.values[rows], times_s=signal.times_s[rows])
        features = modality.features(signal, PARAMS)
        corrupted = modality.corrupted_features(signal, features, "noise", PARAMS, "a")
        return [signal.values, signal.times_s, features.values, *corrupted]

    sizes = [
        (scratch, "BLOCK_BYTES", 50_000),
        (edf, "BLOCK_BYTES", 50_000),
        (scratch, "SMALL_BYTES", 1000),
        (eeg, "FRAMES_BYTES", 1000),
    ]
    check_blocks_change_nothing(computed, sizes, monkeypatch, atol=1e-5)
