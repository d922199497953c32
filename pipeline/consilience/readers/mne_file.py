"""BrainVision, FIF and EEGLAB files up to MATLAB 7, read by MNE-Python.

What MNE-Python leaves out is read here: the unit of a BrainVision channel, and the duration of
interruptions, which are gaps on the recording's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import mne
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import BLOCK_BYTES
from consilience.core.wording import counted
from consilience.readers import brainvision, matlab
from consilience.readers.base import Recording
from consilience.readers.brainvision_header import (
    channel_units,
    declared_samples,
    samples_are_text,
    segment_gaps,
)
from consilience.readers.contents import refuse_converted
from consilience.readers.eeglab import EeglabEvent, boundary_gaps
from consilience.readers.markers import (
    TRIGGERS,
    describe_codes,
    sync_descriptions,
    sync_onsets,
)
from consilience.readers.timeline import Gaps, Timeline
from consilience.readers.units import MICRO

Array = NDArray[np.float64]

SUFFIXES = (".vhdr", ".fif", ".set")
BARE = (".eeg", ".dat", ".fdt")  # samples without a header
SKIP = "BAD_ACQ_SKIP"  # MNE-Python's annotation where the acquisition was off
JOINT = " BOUNDARY"  # end of those where recordings were joined: "BAD boundary", "EDGE boundary"


class MneFile(Recording):
    """A file in a format that MNE-Python reads."""

    def __init__(self, path: Path, item: str | None) -> None:
        suffix = path.suffix.lower()
        self.path = path
        if suffix == ".set":
            matlab.check_header(path)
            matlab.check_uncompressed_size(path)
        try:
            if suffix == ".vhdr":
                with brainvision.readable_header(path) as header:
                    self.raw = mne.io.read_raw(header, preload=False, verbose="error")
            else:
                self.raw = mne.io.read_raw(path, preload=False, verbose="error")
        except RecordingError:
            raise
        except Exception as error:  # MNE's readers raise almost anything on damaged bytes
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise RecordingError(
                f"not a readable {suffix[1:].upper()} file: {first}", str(path), "export it again"
            ) from None
        folder = path.parent.resolve()
        # A header must not make the reader open files elsewhere on the disk.
        if any(file.parent.resolve() != folder for file in self.companions):
            raise RecordingError(
                "the header refers to samples in another folder", str(path), "export it again"
            )
        date = self.raw.info["meas_date"]
        self.names = tuple(self.raw.ch_names)
        self.rate_hz = float(self.raw.info["sfreq"])
        self.start_time = date.isoformat() if date else None
        self.bads = tuple(self.raw.info["bads"])
        self.in_microvolts = suffix == ".set"
        self.length_findings = self._checked_length()
        self.recorded = self._recorded()
        self.n_samples = int(np.count_nonzero(self.recorded))

    @cached_property
    def companions(self) -> list[Path]:
        """The files that hold the samples."""
        return [Path(name) for name in self.raw.filenames if name is not None]

    @property
    def file_bytes(self) -> int:
        """The size in bytes of the file and of its companions."""
        return sum(file.stat().st_size for file in {self.path, *self.companions})

    @property
    def duration_s(self) -> float:
        """The duration in seconds on the recording's clock, gaps that the file states included."""
        times_s = self.timeline.at(np.array([0, len(self.recorded) - 1]))
        return float(times_s[1] - times_s[0]) + 1 / self.rate_hz

    @property
    def stamped(self) -> bool:
        """Whether the file states interruptions."""
        return self.timeline.interrupted or self.n_samples < len(self.recorded)

    @cached_property
    def timeline(self) -> Timeline:
        """The times of the samples in the file, those of skips included."""
        return Timeline.with_gaps(self.rate_hz, self._gaps[0])

    def times_s(self) -> Array:
        """Return the time of each recorded sample, shape (n_samples,)."""
        return self.timeline.times_s(len(self.recorded))[self.recorded]

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the file states it; empty if it states none."""
        if self.path.suffix.lower() == ".vhdr":
            return self._units.get(name, "")
        return "" if self.in_microvolts else "V"  # FIF stores the SI unit

    def pulses_s(self, code: int | None = None) -> Array:
        """Return the times of the markers on trigger channels, or else those of annotations."""
        times_s = self.times_s()
        onsets = [sync_onsets(line, code) for _, line in self._trigger_lines()]
        pulses = np.unique(np.concatenate([np.empty(0, np.intp), *onsets]))
        return times_s[pulses] if len(pulses) else self._annotated_pulses_s(code)

    def findings(self) -> list[str]:
        """Return what differs from the header, cuts of unknown duration, and trigger codes."""
        codes = [
            what for name, line in self._trigger_lines() for what in describe_codes(name, line)
        ]
        renamed = brainvision.renamed(self.path) if self.path.suffix.lower() == ".vhdr" else []
        return [*self.length_findings, *self._gaps[1], *codes, *renamed]

    def _trigger_lines(self) -> list[tuple[str, Array]]:
        names = [name for name in self.names if TRIGGERS.match(name)]
        return [(name, self.values([name], 1.0)[:, 0]) for name in names]

    def _annotated_pulses_s(self, code: int | None) -> Array:
        annotations = self.raw.annotations
        wanted = sync_descriptions([str(text) for text in annotations.description], code)
        is_pulse = [str(text) in wanted for text in annotations.description]
        positions = self._positions(np.unique(annotations.onset[is_pulse]))
        inside = positions[(positions >= 0) & (positions <= len(self.recorded) - 1)]
        # Rounding of an onset must not place it before a gap that it follows.
        return self.timeline.at(np.round(inside, 6))

    def _positions(self, onsets_s: Array) -> Array:
        """Return the onsets of annotations in samples from the first; fractions remain."""
        # MNE-Python counts onsets from the start of the measurement, not from the first sample,
        # unless the annotations have no date.
        first_s = 0.0 if self.raw.annotations.orig_time is None else self.raw.first_time
        return (onsets_s - first_s) * self.rate_hz

    def _recorded(self) -> NDArray[np.bool_]:
        """Return which samples of a FIF file were recorded, not filled with zeros."""
        recorded = np.ones(int(self.raw.n_times), bool)
        annotations = self.raw.annotations
        positions = self._positions(annotations.onset)
        for position, duration_s, text in zip(
            positions, annotations.duration, annotations.description, strict=True
        ):
            if str(text).upper().startswith(SKIP):
                first = round(position)
                recorded[max(first, 0) : max(first + round(duration_s * self.rate_hz), 0)] = False
        return recorded

    @cached_property
    def _gaps(self) -> tuple[Gaps, list[str]]:
        """The gaps that a file states without samples, and findings on those without duration."""
        suffix = self.path.suffix.lower()
        if suffix == ".set":
            cuts = mne.read_annotations(self.path)  # those of `raw` end with the samples
            events = [
                EeglabEvent(onset_s * self.rate_hz, str(text), duration_s * self.rate_hz)
                for onset_s, duration_s, text in zip(
                    cuts.onset, cuts.duration, cuts.description, strict=True
                )
            ]
            return boundary_gaps(events, len(self.recorded), self.rate_hz)
        return segment_gaps(self.path, self.rate_hz) if suffix == ".vhdr" else ([], self._joints())

    def _joints(self) -> list[str]:
        """Return findings on the places where recordings were joined to one FIF file."""
        annotations = self.raw.annotations
        at = [str(text).upper().endswith(JOINT) for text in annotations.description]
        onsets_s = np.unique(np.round(self._positions(annotations.onset[at]) / self.rate_hz, 1))
        return [
            f"recordings were joined at {at_s:.1f} s: the pause is unknown" for at_s in onsets_s
        ]

    @cached_property
    def _units(self) -> dict[str, str]:
        return channel_units(self.path)

    def _checked_length(self) -> list[str]:
        """Compare the length of files of bare samples with the header; return the difference.

        Raises
        ------
        RecordingError
            If such a file is shorter than declared, or its line ends were converted.
        """
        samples = self.companions[0] if self.companions else self.path
        is_brainvision = self.path.suffix.lower() == ".vhdr"
        is_text = is_brainvision and samples_are_text(self.path)
        if samples.suffix.lower() not in BARE or is_text:
            return []
        refuse_converted(samples)
        # Integers of 16 bits, or else integers or floating-point numbers of 32.
        frame = len(self.names) * (2 if self.raw.orig_format == "short" else 4)
        actual, n_samples = samples.stat().st_size, self.raw.n_times
        declared = declared_samples(self.path) or 0 if is_brainvision else n_samples
        if actual < declared * frame:
            raise RecordingError(
                f"the samples are truncated: {actual} of {declared * frame} bytes",
                str(samples),
                "copy the file again from the recorder",
            )
        rest = int(actual - n_samples * frame)
        if rest <= 0:
            return []
        return [f"{counted(rest, 'byte')} of {samples.name} after the last sample left out"]

    def _factor(self, name: str, default: float) -> float:
        """Return the factor from the values that MNE-Python returns to the SI unit."""
        if self.in_microvolts:
            return default / MICRO  # MNE-Python has multiplied by 1e-6
        applied = 1.0
        if self.path.suffix.lower() == ".vhdr":
            applied = float(self.raw.info["chs"][self.names.index(name)]["range"])
        return super()._factor(name, default) / applied

    def _blocks(self, channels: list[int]) -> Iterator[Array]:
        n_samples = len(self.recorded)
        step = max(BLOCK_BYTES // (8 * len(channels)), 1)
        for start in range(0, n_samples, step):
            stop = min(start + step, n_samples)
            values = self.raw.get_data(picks=channels, start=start, stop=stop, verbose="error").T
            yield np.ascontiguousarray(values[self.recorded[start:stop]])
