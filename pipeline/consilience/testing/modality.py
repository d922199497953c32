"""Checks of a modality; what each demands is in its name and its messages."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.seeds import generator
from consilience.modalities.base import Modality
from consilience.schema.constants import SEVERITIES
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.types import Features, Header, Signal
from consilience.testing.pickles import no_pickles, spring
from consilience.testing.rules import ContractError, for_all, hypothesis, only, require

Example = tuple[Path, str | None]

UNITS = frozenset(
    {"fraction", "ratio", "count", "score", "percent", "db", "s", "ms", "us", "hz", "khz", "bpm"}
    | {"ppm", "v", "mv", "uv", "uv2", "us2", "px", "mm", "m", "deg", "rad", "g", "c", "n", "pa"}
    | {"grey", "minute", "second", "frame", "word"}  # grey levels of 255; per_minute, …
)
SOUND_RATE_HZ = 8000.0  # low, so that the check is fast
NO_RATE = float("nan")  # a class of parameters without frame_rate_hz
MAX_REPEATS = 24
FAR = 4.0  # standard deviations beyond which features are as bad as lost
ENOUGH_VALUES = 2000  # over which the distance from clean is averaged
MOSTLY = 0.95  # how far a harder severity may fall short of a milder one by chance


@dataclass(frozen=True)
class ModalityCase:
    """A modality with recordings to try it on.

    Attributes
    ----------
    modality : Modality
    examples : sequence of (Path, str or None)
        Good recordings, two or more that differ, of a few seconds; each with its `item`.
    params : ModalityParams or None
        Parameters; None for the defaults with every kind of corruption.
    """

    modality: Modality
    examples: Sequence[Example]
    params: ModalityParams | None = None
    _folder: Any = field(default_factory=tempfile.TemporaryDirectory, repr=False)

    @property
    def folder(self) -> Path:
        """A folder for damaged files, gone with the case."""
        return Path(self._folder.name)

    @cached_property
    def settings(self) -> Any:
        """The parameters used."""
        severities = {
            kind: c.severities for kind, c in self.modality.Params.CORRUPTION_KINDS.items()
        }
        return self.params or self.modality.Params(corruptions=severities)

    @cached_property
    def signals(self) -> list[Signal]:
        """The examples as read."""
        return [self.modality.read(path, item, self.settings) for path, item in self.examples]

    @cached_property
    def features(self) -> list[Features]:
        """The features of the examples as read."""
        return [self.modality.features(signal, self.settings) for signal in self.signals]

    def corrupted(self, signal: Signal, kind: str, severity: int, *names: object) -> Signal:
        """Return a corrupted signal; `names` select the random numbers."""
        rng = generator(kind, severity, *names)
        return self.modality.corrupt(signal, kind, severity, self.settings, rng)


def check_name_and_suffixes(case: ModalityCase) -> None:
    """Check that the name fits files and params.yaml, and that endings are lower case."""
    name, suffixes = case.modality.name, case.modality.suffixes
    require(
        re.fullmatch(r"[a-z][a-z0-9_]*", name),
        f"the name '{name}' is not a lower-case identifier",
        "it is a key of params.yaml and part of file names: use a-z, 0-9 and _",
    )
    require(
        suffixes and all(re.fullmatch(r"(\.[a-z0-9]+)+", suffix) for suffix in suffixes),
        f"{name}.suffixes is {suffixes}",
        "list file name endings in lower case with the dot, such as ('.csv',)",
    )
    require(
        len(case.examples) >= 2,
        f"there are {len(case.examples)} example recordings",
        "give two or more that differ",
    )
    for path, _ in case.examples:
        require(
            path.suffix.lower() in suffixes,
            f"the example {path.name} has none of the endings {suffixes}",
            "name its ending in `suffixes`",
        )


def check_parameters(case: ModalityCase) -> None:
    """Check that parameters have defaults, survive params.yaml, and refuse a misspelt one."""
    model = case.modality.Params
    require(
        issubclass(model, ModalityParams),
        f"{model.__name__} is not a ModalityParams",
        "derive it from consilience.modalities.base.ModalityParams",
    )
    try:
        defaults = model()
    except ValidationError as error:
        raise ContractError(
            f"{model.__name__} lacks a default: {error.errors()[0]['loc']}; give every field one"
        ) from None
    require(
        "noise" in model.CORRUPTION_KINDS and list(defaults.corruptions) == ["noise"],
        f"{model.__name__} has corruptions {list(defaults.corruptions)} by default",
        "set CORRUPTION_KINDS and corruptions = default_corruptions(...), with 'noise'",
    )
    again = model.model_validate(defaults.model_dump(mode="json"))
    require(
        again == defaults,
        f"{model.__name__} changes when written and read",
        "use numbers, texts, tuples and dicts",
    )
    try:
        model.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise ContractError(
        f"{model.__name__} takes any key; keep model_config of ModalityParams (extra='forbid')"
    )


def check_header(case: ModalityCase) -> None:
    """Check that `probe` agrees with `read`."""
    for (path, item), signal in zip(case.examples, case.signals, strict=True):
        header = case.modality.probe(path, item)
        require(isinstance(header, Header), f"probe returned {header!r}", "return a Header")
        for what, number in (("rate_hz", header.rate_hz), ("n_channels", header.n_channels)):
            require(
                number is None or (np.isfinite(number) and number > 0),
                f"probe returns {what} = {number} for {path.name}",
                "refuse such a file with RecordingError",
            )
        if header.duration_s is not None and len(signal.times_s) > 1:
            lasted_s = float(signal.times_s[-1] - signal.times_s[0])
            require(
                abs(header.duration_s - lasted_s) <= max(0.5, 0.1 * lasted_s),
                f"{path.name}: {header.duration_s:g} s by probe, {lasted_s:g} s by read",
                "take both from the same time stamps, in seconds",
            )


def check_identity(case: ModalityCase) -> None:
    """Check that the identity is the content's: wherever the file is, whatever its date."""
    identities = []
    for number, (path, item) in enumerate(case.examples):
        identity = case.modality.identity(path, item)
        require(
            isinstance(identity, str) and re.fullmatch("[0-9a-f]{64}", identity),
            f"identity returned {identity!r}",
            "return consilience.modalities.base.content_hash(path), or text_hash(...) of the item",
        )
        moved = _with_companions(path, case.folder / f"moved-{number}")
        require(
            identity == case.modality.identity(moved, item),
            f"the identity of {path.name} changes when the file is moved",
            "hash the content, not path or date",
        )
        identities.append(identity)
    require(
        len(set(identities)) == len(identities),
        "two examples that differ have the same identity",
        "hash all of what a recording consists of, `item` included",
    )


def check_signal(case: ModalityCase) -> None:
    """Check that a signal is time stamps with a sample each, and its channels' names."""
    for (path, _), signal in zip(case.examples, case.signals, strict=True):
        values, times_s = signal.values, signal.times_s
        require(
            times_s.dtype == np.float64 and times_s.ndim == 1,
            f"times_s of {path.name} is {times_s.dtype} {times_s.shape}",
            "return float64 seconds, shape (n_samples,)",
        )
        require(
            np.isfinite(times_s).all() and (np.diff(times_s) > 0).all(),
            f"times_s of {path.name} does not increase",
            "sort and drop repeated time stamps, or raise RecordingError",
        )
        require(
            len(values) == len(times_s) > 0,
            f"{path.name} has {len(values)} samples at {len(times_s)} times",
            "return one row of values per time stamp",
        )
        require(
            signal.channels and len(set(signal.channels)) == len(signal.channels),
            f"channels are {signal.channels}",
            "name each once",
        )
        require(
            signal.pulses_s.ndim == 1 and (np.diff(signal.pulses_s) > 0).all(),
            f"pulses_s of {path.name} does not increase",
            "return numpy.unique(pulses_s)",
        )
        require(
            signal.anchors_s.ndim == 2 and signal.anchors_s.shape[1] == 2,
            f"anchors_s of {path.name} has shape {signal.anchors_s.shape}",
            "return pairs (recording's own time, session time), shape (n, 2)",
        )


def check_features(case: ModalityCase) -> None:
    """Check that features are float32 frames at increasing times, with a name each."""
    for signal, features in zip(case.signals, case.features, strict=True):
        _require_form(features, "a good example")
        require(
            np.isfinite(features.values).any(),
            "a good example has no finite feature",
            "NaN is for frames without a valid observation only",
        )
        low, high = signal.times_s[[0, -1]] + [-1.0, 1.0]
        require(
            ((features.times_s >= low) & (features.times_s <= high)).all(),
            "frames lie outside the recording",
            "times_s is each frame's centre on the recording's own clock, in seconds",
        )
    names = {features.names for features in case.features}
    require(
        len(names) == 1,
        "examples differ in the names of their features",
        "let names depend on the parameters alone",
    )


def check_frame_rate(case: ModalityCase) -> None:
    """Check the rate of frames; without a time axis it is None, and the recording has one frame."""
    rate_hz = getattr(case.settings, "frame_rate_hz", NO_RATE)
    if rate_hz is None:
        require(
            all(len(features.times_s) == 1 for features in case.features),
            "params.frame_rate_hz is None, but a recording has several frames",
            "define it as the frames per second of a window, in Hz",
        )
        return
    require(
        np.isfinite(rate_hz) and rate_hz > 0,
        f"params.frame_rate_hz is {rate_hz}",
        "define it as the frames per second of a window, in Hz",
    )
    own_hz = [1 / np.median(np.diff(features.times_s)) for features in case.features]
    require(
        all(0.2 <= hz / rate_hz <= 5 for hz in own_hz),
        f"frames come at {own_hz[0]:g} Hz, params.frame_rate_hz is {rate_hz:g}",
        "return the rate at which features() makes frames",
    )


def check_abilities(case: ModalityCase) -> None:
    """Check the optional abilities: the activity feature exists, a sound track is mono in time."""
    modality = case.modality
    for name in ("reads", "activity_feature", "sound", "inspect"):
        require(
            hasattr(modality, name),
            f"{type(modality).__name__} has no '{name}'",
            "derive the class from consilience.modalities.base.Modality, which has a default",
        )
    feature = modality.activity_feature
    require(
        feature is None or feature in case.features[0].names,
        f"activity_feature is '{feature}', which is not among the features",
        "name one of them, or None",
    )
    for (path, item), signal in zip(case.examples, case.signals, strict=True):
        sound = modality.sound(path, item, SOUND_RATE_HZ)
        if sound is None:
            continue
        require(
            sound.values.dtype == np.float32 and sound.values.shape == sound.times_s.shape,
            f"sound of {path.name} is {sound.values.dtype}, shape {sound.values.shape}",
            "return float32, shape (n_samples,), with a time stamp each",
        )
        steps_s = np.diff(sound.times_s)
        require(
            len(steps_s) and np.allclose(steps_s, 1 / SOUND_RATE_HZ),
            f"sound of {path.name} is not sampled at the rate that was passed",
            "resample it: consilience.signals.sound_track.read_sound_track does",
        )
        require(
            sound.times_s[0] < signal.times_s[-1] and sound.times_s[-1] > signal.times_s[0],
            f"the sound of {path.name} does not overlap the recording in time",
            "return times_s on the clock of the recording, in seconds",
        )


def check_quality(case: ModalityCase) -> None:
    """Check that every measure of quality has its unit in its name."""
    for features in case.features:
        for measure in features.quality:
            last = measure.rsplit("_", 1)[-1]
            require(
                measure == "quality" or last in UNITS or last.endswith("s"),
                f"the measure '{measure}' has no unit in its name",
                "end it in its unit (snr_db, covered_fraction, gap_s) or in a plural that counts",
            )


def check_determinism(case: ModalityCase) -> None:
    """Check that a file always gives the same bytes, and that inputs are left as they are."""
    for (path, item), signal, features in zip(
        case.examples, case.signals, case.features, strict=True
    ):
        np.random.seed(1)  # noqa: NPY002 - reveals draws from the global state
        bytes_before = path.read_bytes()
        again = case.modality.read(path, item, case.settings)
        require(
            _same(again.values, signal.values) and _same(again.times_s, signal.times_s),
            f"reading {path.name} twice gives two signals",
            "use no chance, clock or order of a set in read()",
        )
        require(path.read_bytes() == bytes_before, f"read() changed {path.name}", "only read it")
        second = case.modality.features(again, case.settings)
        require(
            _same(second.values, features.values) and second.quality == features.quality,
            f"features of {path.name} differ from run to run",
            "use no chance, clock or order of a set in features()",
        )
        require(
            _same(again.values, signal.values),
            "features() changed the signal it was given",
            "work on a copy",
        )
        for kind in case.settings.corruptions:
            draw, redraw = (case.corrupted(again, kind, 3, path.name) for _ in range(2))
            require(
                _same(draw.values, redraw.values),
                f"corrupt('{kind}') differs for the same random generator",
                "draw from `rng` alone",
            )
            require(
                _same(again.values, signal.values),
                f"corrupt('{kind}') changed the signal it was given",
                "work on a copy: dataclasses.replace(signal, values=...)",
            )


def check_inspection(case: ModalityCase) -> None:
    """Check that `inspect` returns findings of one line each for every good example."""
    for path, item in case.examples:
        with only(RecordingError, f"inspect({path.name})"):
            findings = case.modality.inspect(path, item)
        require(
            isinstance(findings, list)
            and all(isinstance(text, str) and "\n" not in text for text in findings),
            f"inspect({path.name}) returned {findings!r}",
            "return a list of plain sentences, each on one line",
        )


def check_damaged_files(case: ModalityCase) -> None:
    """Check files that are empty, cut short or overwritten: RecordingError, nothing else."""
    st = hypothesis().strategies
    path, item = case.examples[0]
    content = path.read_bytes()
    for number, damaged in enumerate((b"", b"\n", b"\0" * 4096, b"\xff\xfe\x00,;" * 99)):
        _attempt(case, _beside(case, path, f"damaged-{number}", damaged), item, "a file of nothing")
    made = iter(range(10**9))

    def truncated(share: float) -> None:
        cut = content[: int(share * len(content))]
        _attempt(case, _beside(case, path, f"cut-{next(made)}", cut), item, "a truncated file")

    def overwritten(place: float, noise: bytes) -> None:
        start = int(place * len(content))
        damaged = content[:start] + noise + content[start + len(noise) :]
        _attempt(case, _beside(case, path, f"bits-{next(made)}", damaged), item, "a damaged file")

    for_all(12, truncated, share=st.floats(0, 1, exclude_max=True))
    places = st.floats(0, 1, exclude_max=True).map(lambda share: share**3)  # headers first
    for_all(24, overwritten, place=places, noise=st.binary(min_size=1, max_size=24))


def check_odd_signals(case: ModalityCase) -> None:
    """Check too few samples, NaN, infinite, constant, tiny and huge values."""
    st = hypothesis().strategies
    signal = case.signals[0]
    total = len(signal.times_s)

    def short(length: int) -> None:
        _features_or_refusal(case, _part(signal, 0, length), f"a signal of {length} samples")

    for length in (0, 1, 2, 3):
        short(length)
    for_all(8, short, length=st.integers(0, total))
    if not np.issubdtype(signal.values.dtype, np.floating):
        return
    numbers = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30])

    def odd(start: int, share: float, number: float) -> None:
        values = signal.values.copy()
        values[start : start + max(1, int(share * total))] = number
        how = f"a signal with {number:g} among its values"
        _features_or_refusal(case, replace(signal, values=values), how)

    def scaled(exponent: int) -> None:
        with np.errstate(over="ignore"):
            values = (signal.values * 10.0**exponent).astype(signal.values.dtype)
        how = f"a signal scaled by 1e{exponent}"
        _features_or_refusal(case, replace(signal, values=values), how)

    for number in (np.nan, 0.0):
        odd(0, 1.0, number)
    for_all(24, odd, start=st.integers(0, total - 1), share=st.floats(0, 1), number=numbers)
    for_all(8, scaled, exponent=st.sampled_from([-30, -12, -6, 6, 12, 30]))


def check_corruptions_keep_form(case: ModalityCase) -> None:
    """Check that a corrupted signal keeps time stamps, channels and the grid of frames."""
    signal, clean = case.signals[0], case.features[0]
    for kind in case.settings.corruptions:
        for severity in (SEVERITIES[0], SEVERITIES[-1]):
            how = f"corrupt('{kind}', severity {severity})"
            corrupted = case.corrupted(signal, kind, severity)
            require(
                _same(corrupted.times_s, signal.times_s)
                and len(corrupted.values) == len(signal.values),
                f"{how} changed the time stamps",
                "return dataclasses.replace(signal, values=...); lost samples are NaN or repeated",
            )
            require(
                corrupted.channels == signal.channels,
                f"{how} changed the channels",
                "keep their names",
            )
            try:
                with only(RecordingError, f"features after {how}"):
                    features = case.modality.features(corrupted, case.settings)
            except RecordingError:
                continue  # taken as lost altogether
            _require_form(features, how)
            require(
                _same(features.times_s, clean.times_s) and features.names == clean.names,
                f"after {how} the frames are not the clean signal's",
                "let the grid of frames depend on time stamps and parameters alone",
            )


def check_corruptions_grow(case: ModalityCase) -> None:
    """Check that a corruption moves the features, on average farther the more severe it is."""
    n_values = sum(features.values.size for features in case.features)
    repeats = int(np.clip(np.ceil(ENOUGH_VALUES / n_values), 1, MAX_REPEATS))
    scale = _scale(case.features)
    levels = (1, 3, 5)
    for kind in case.settings.corruptions:
        moved = [
            np.mean(
                [
                    _distance(case, signal, clean, kind, level, scale, (number, repeat))
                    for number, (signal, clean) in enumerate(
                        zip(case.signals, case.features, strict=True)
                    )
                    for repeat in range(repeats)
                ]
            )
            for level in levels
        ]
        deviations = ", ".join(
            f"{level}: {by:.3g}" for level, by in zip(levels, moved, strict=True)
        )
        require(
            moved[-1] > 0,
            f"corrupt('{kind}') moves no feature (standard deviations {deviations})",
            "change the values, or drop the kind from CORRUPTION_KINDS",
        )
        require(
            moved[0] < moved[-1] and all(b >= MOSTLY * a for a, b in pairwise(moved)),
            f"corrupt('{kind}') does not grow with severity (standard deviations {deviations})",
            "order the numbers in CORRUPTION_KINDS from hardly noticeable to hardly usable",
        )


def check_inputs(case: ModalityCase) -> None:
    """Check the model inputs of windows with frames missing, all of them missing, or no window."""
    windows, name = _windows(case), f"the function of model inputs '{case.settings.INPUTS}'"
    function = registry.get("inputs", case.settings.INPUTS)
    inputs = function(windows)
    require(
        inputs.dtype == np.float32 and len(inputs) == len(windows) and np.isfinite(inputs).all(),
        f"{name} made {inputs.dtype} {inputs.shape} of {windows.shape}, or not all finite",
        "return one finite row of float32 per window, 0 where nothing was observed",
    )
    require(
        all(_same(function(windows[n : n + 1])[0], row) for n, row in enumerate(inputs)),
        f"{name} gives another result for a window in a batch",
        "do not mix the windows of a batch, also not by a product of matrices",
    )
    none = function(windows[:0])
    require(
        none.shape == (0, *inputs.shape[1:]),
        f"{name} made {none.shape} of no window, not {(0, *inputs.shape[1:])}",
        "return arrays of the same shape whatever the number of windows",
    )


def check_encoder(case: ModalityCase) -> None:
    """Check the encoder on model inputs of windows with frames missing, and with all missing."""
    import torch  # slow, and needed by this check only

    windows = _windows(case)
    width = 7
    torch.manual_seed(0)
    encoder = case.modality.encoder(windows.shape[2], width, 0.0, **case.settings.encoding)
    encoded = encoder(torch.from_numpy(registry.get("inputs", case.settings.INPUTS)(windows)))
    require(
        encoded.shape == (len(windows), width) and encoded.dtype == torch.float32,
        f"the encoder returned {encoded.dtype} {tuple(encoded.shape)}",
        f"return float32, shape (n_windows, width = {width})",
    )
    encoded.square().sum().backward()
    gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
    require(
        gradients and all(torch.isfinite(g).all() for g in gradients),
        "the encoder's gradients are not finite",
        "guard divisions, logarithms and roots of 0",
    )
    require(
        any(g.abs().sum() > 0 for g in gradients),
        "no gradient reaches the encoder's parameters",
        "connect input, parameters and output",
    )


def check_no_pickle(case: ModalityCase) -> None:
    """Check that reading loads no pickle, and that a pickle under another name is not executed."""
    path, item = case.examples[0]
    name = f"the reader of '{case.modality.name}'"
    with no_pickles(name):
        case.modality.probe(path, item)
        case.modality.identity(path, item)
        case.modality.features(case.modality.read(path, item, case.settings), case.settings)
    for suffix in case.modality.suffixes:
        trap = case.folder / f"trap{suffix}"
        spring(
            lambda path: _attempt(case, path, item, "a pickle"), name, trap, case.folder / "sprung"
        )


MODALITY_CHECKS: tuple[Callable[[ModalityCase], None], ...] = (
    check_name_and_suffixes,
    check_parameters,
    check_header,
    check_identity,
    check_signal,
    check_features,
    check_frame_rate,
    check_abilities,
    check_quality,
    check_determinism,
    check_inspection,
    check_damaged_files,
    check_odd_signals,
    check_corruptions_keep_form,
    check_corruptions_grow,
    check_inputs,
    check_encoder,
    check_no_pickle,
)


def check_modality(
    modality: Modality, examples: Iterable[Example], params: ModalityParams | None = None
) -> None:
    """Run every check of a modality on good example recordings.

    Raises
    ------
    ContractError
        At the first check that fails, with the remedy.
    """
    case = ModalityCase(modality, tuple(examples), params)
    for check in MODALITY_CHECKS:
        check(case)


def _require_form(features: Features, how: str) -> None:
    values, times_s = features.values, features.times_s
    require(
        values.dtype == np.float32 and values.ndim == 2,
        f"features of {how} are {values.dtype}, shape {values.shape}",
        "return float32, shape (n_frames, n_features)",
    )
    require(
        times_s.dtype == np.float64 and times_s.shape == (len(values),),
        f"times_s of the features of {how} is {times_s.dtype} {times_s.shape}",
        "return float64, one per frame",
    )
    require(
        len(values) > 0 and np.isfinite(times_s).all() and (np.diff(times_s) > 0).all(),
        f"frames of {how} do not increase in time, or are missing",
        "raise RecordingError if nothing can be made of the recording",
    )
    require(
        len(features.names) == values.shape[1] == len(set(features.names)),
        f"{values.shape[1]} features of {how} have {len(features.names)} names",
        "name each once",
    )
    require(
        not np.isinf(values).any(),
        f"features of {how} are infinite",
        "let NaN stand for what was not observed; guard logarithms and divisions",
    )
    quality = features.quality.get("quality")
    require(
        quality is not None and 0 <= quality <= 1,
        f"quality of {how} is {quality}",
        'sum the measures up in quality["quality"] between 0 and 1',
    )
    require(
        all(
            isinstance(value, int | float) and np.isfinite(value)
            for value in features.quality.values()
        ),
        f"a quality measure of {how} is not a finite number: {features.quality}",
        "return Python floats",
    )


def _features_or_refusal(case: ModalityCase, signal: Signal, how: str) -> None:
    try:
        with only(RecordingError, f"features of {how}"), np.errstate(all="ignore"):
            features = case.modality.features(signal, case.settings)
    except RecordingError as error:
        _require_one_line(error, how)
        return
    _require_form(features, how)


def _attempt(case: ModalityCase, path: Path, item: str | None, how: str) -> None:
    """Process a file as the pipeline does."""
    modality = case.modality
    try:
        with only(RecordingError, how):
            modality.probe(path, item)
            modality.identity(path, item)
            modality.inspect(path, item)
            modality.sound(path, item, SOUND_RATE_HZ)
            signal = modality.read(path, item, case.settings)
    except RecordingError as error:
        _require_one_line(error, how)
        return
    _features_or_refusal(case, signal, how)


def _require_one_line(error: ConsilienceError, how: str) -> None:
    require(
        error.what and "\n" not in str(error),
        f"the error about {how} is {str(error)!r}",
        "describe the problem in one line",
    )


def _beside(case: ModalityCase, path: Path, name: str, content: bytes) -> Path:
    damaged = _with_companions(path, case.folder / name)
    damaged.write_bytes(content)
    return damaged


def _with_companions(path: Path, folder: Path) -> Path:
    """Copy a file, and those beside it that differ in their ending alone, into a new folder."""
    folder.mkdir()
    for file in path.parent.glob("*"):
        if file.is_file() and file.name.split(".")[0] == path.name.split(".")[0]:
            shutil.copyfile(file, folder / file.name)
    return folder / path.name


def _part(signal: Signal, start: int, stop: int) -> Signal:
    rows = slice(start, stop)
    return replace(signal, values=signal.values[rows], times_s=signal.times_s[rows])


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    nan_equal = np.issubdtype(a.dtype, np.inexact)
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=nan_equal)


def _scale(clean: list[Features]) -> NDArray[np.float64]:
    """Return each feature's standard deviation over all examples; 1 where it does not vary."""
    with np.errstate(all="ignore"):
        values = np.concatenate([features.values for features in clean]).astype(np.float64)
        spread = np.sqrt(np.nanmean((values - np.nanmean(values, axis=0)) ** 2, axis=0))
    scale: NDArray[np.float64] = np.where(np.isfinite(spread) & (spread > 1e-9), spread, 1.0)
    return scale


def _distance(
    case: ModalityCase,
    signal: Signal,
    clean: Features,
    kind: str,
    severity: int,
    scale: NDArray[np.float64],
    names: tuple[object, ...],
) -> float:
    """Return how far features move, in standard deviations, over what is finite when clean."""
    corrupted = case.corrupted(signal, kind, severity, *names)
    try:
        values = case.modality.features(corrupted, case.settings).values
    except RecordingError:
        return FAR
    apart = np.abs(values.astype(np.float64) - clean.values) / scale
    apart = np.minimum(np.where(np.isfinite(values), apart, FAR), FAR)
    return float(apart[np.isfinite(clean.values)].mean())


def _windows(case: ModalityCase) -> NDArray[np.float32]:
    """Return windows of the features: whole, with gaps, with one frame, and with none at all."""
    n_frames = min(len(features.times_s) for features in case.features)
    n_frames = min(n_frames, 50)
    base = np.stack([features.values[:n_frames] for features in case.features])
    gaps, single, nothing = base[0].copy(), base[0].copy(), np.full_like(base[0], np.nan)
    gaps[::2] = np.nan
    single[1:] = np.nan
    return np.concatenate([base, np.stack([gaps, single, nothing])])
