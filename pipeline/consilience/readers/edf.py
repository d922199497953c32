"""EDF and BDF files: every signal at its own sampling rate, with the times of its records.

The samples are read here instead of by MNE-Python, which resamples all signals to the highest
rate, joins the records of EDF+D, and takes an unknown unit for volts.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import BLOCK_BYTES, joined
from consilience.readers.base import Recording, unique_names
from consilience.readers.edf_header import EdfSignal, read_edf_header
from consilience.readers.markers import (
    TRIGGERS,
    code_events,
    describe_codes,
    sync_descriptions,
    sync_onsets,
)
from consilience.readers.timeline import Timeline

Array = NDArray[np.float64]

SLACK_S = 1e-4  # by which a record may begin early
MAX_OVERLAP = 0.1  # of the duration of a record: by more, its start is not rounded but wrong


class Note(NamedTuple):
    """An annotation: its onset in seconds from the start that the header states, and its text."""

    onset_s: float
    text: str


class EdfRecording(Recording):
    """An EDF or BDF file; `names` are unique."""

    def __init__(self, path: Path, item: str | None) -> None:
        self.path = path
        self.header = read_edf_header(path)
        signals = [s for s in self.header.signals if s.n_samples and not s.is_annotation]
        self.signals = dict(zip(unique_names(s.label for s in signals), signals, strict=True))
        if not self.signals:
            raise RecordingError("no samples", str(path), "copy it again from the recorder")
        self.notes, self.starts_s = self._annotations()
        self._limit_to(max(signal.n_samples for signal in self.signals.values()))
        self.names = tuple(self.signals)
        start = self.header.start
        first_s = self.starts_s[0] if start else 0.0  # EDF+ states the fraction of a second there
        self.start_time = (start + timedelta(seconds=first_s)).isoformat() if start else None

    @property
    def timeline(self) -> Timeline:
        """The timeline of the signals at the rate of this recording."""
        return self._timeline(self.per_record)

    @property
    def duration_s(self) -> float:
        """The duration in seconds, from the start of the first record to the end of the last."""
        return float(self.starts_s[-1] - self.starts_s[0]) + self.header.record_s

    @cached_property
    def stamped(self) -> bool:
        """Whether the records do not follow each other without gaps (EDF+D)."""
        regular = np.arange(len(self.starts_s)) * self.header.record_s
        return not np.allclose(self.starts_s - self.starts_s[0], regular, atol=1e-6)

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the file states it; empty if it states none."""
        return self.signals[name].unit

    def at_rate_of(self, names: Sequence[str]) -> Self:
        """Return the recording at the rate of some channels; see `Recording.at_rate_of`."""
        rates = Counter(self.signals[name].n_samples for name in names)
        result = copy.copy(self)
        result._limit_to(max(rates, key=lambda rate: (rates[rate], rate)))
        return result

    def times_s(self) -> Array:
        """Return the time of each sample, counted from the first, shape (n_samples,)."""
        return self.timeline.times_s(self.n_samples)

    def pulses_s(self, code: int | None = None) -> Array:
        """Return the times of the markers on trigger channels, or else those of annotations."""
        times_s = [
            self._timeline(signal.n_samples).at(sync_onsets(line, code))
            for signal, line in self._trigger_lines()
        ]
        pulses_s = np.unique(np.concatenate([np.empty(0), *times_s]))
        return pulses_s if len(pulses_s) else self._annotated_pulses_s(code)

    def code_events(self, channel: str) -> list[tuple[float, int]] | None:
        """Return the times in seconds and the codes of the markers on a trigger channel.

        None if the channel does not exist, or does not hold codes; see `markers.code_events`.
        """
        by_name = {name.casefold(): signal for name, signal in self.signals.items()}
        signal = by_name.get(channel.casefold())
        events = None if signal is None else code_events(self._trigger_line(signal))
        if signal is None or events is None:
            return None
        times_s = self._timeline(signal.n_samples).at(np.array([at for at, _ in events], np.intp))
        return [(time_s, code) for time_s, (_, code) in zip(times_s.tolist(), events, strict=True)]

    def findings(self) -> list[str]:
        """Return what differs from the header, and the codes of the trigger channels."""
        lines = [
            what
            for signal, line in self._trigger_lines()
            for what in describe_codes(signal.label, line)
        ]
        return [*self.header.notes, *lines]

    def _limit_to(self, per_record: int) -> None:
        self.per_record = per_record
        self.rate_hz = per_record / self.header.record_s
        self.n_samples = per_record * self.header.n_records
        self.names = tuple(n for n, s in self.signals.items() if s.n_samples == per_record)

    def _timeline(self, per_record: int) -> Timeline:
        rate_hz = per_record / self.header.record_s
        if not self.stamped:
            return Timeline.continuous(rate_hz)
        firsts = np.arange(len(self.starts_s)) * per_record
        return Timeline(rate_hz, firsts, self.starts_s - self.starts_s[0])

    def _records(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of records block by block, shape (n, record_samples, width)."""
        header = self.header
        record_bytes = header.record_samples * header.width
        step = max(BLOCK_BYTES // record_bytes, 1)
        with self.path.open("rb") as file:
            file.seek(header.n_bytes)
            for first in range(0, header.n_records, step):
                n_records = min(step, header.n_records - first)
                content = file.read(n_records * record_bytes)
                shape = (n_records, header.record_samples, header.width)
                yield np.frombuffer(content, np.uint8).reshape(shape)

    def _digital(self, signal: EdfSignal, records: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the stored numbers of a signal in some records, shape (n * n_samples,)."""
        at = slice(signal.offset, signal.offset + signal.n_samples)
        stored = np.ascontiguousarray(records[:, at]).reshape(-1, self.header.width)
        if self.header.width == 2:
            return stored.view("<i2")[:, 0].astype(np.int32)
        wide = np.zeros((len(stored), 4), np.uint8)
        wide[:, 1:] = stored
        numbers: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8  # keeps the sign
        return numbers

    def _physical(self, signal: EdfSignal, records: NDArray[np.uint8]) -> Array:
        """Return a signal in the unit of the file, shape (n * n_samples,)."""
        digital, physical = np.ptp(signal.digital), np.ptp(signal.physical)
        if not digital or not physical:
            raise RecordingError(
                f"channel '{signal.label}' states no range of values",
                str(self.path),
                "export it again",
            )
        gain = (signal.physical[1] - signal.physical[0]) / (signal.digital[1] - signal.digital[0])
        start = signal.physical[0] - signal.digital[0] * gain
        values: Array = self._digital(signal, records).astype(np.float64)
        values *= gain
        values += start
        return values

    def _blocks(self, channels: list[int]) -> Iterator[Array]:
        names = [self.names[channel] for channel in channels]
        for name in names:
            if self.signals[name].n_samples != self.per_record:
                raise ValueError(f"channel '{name}' has another sampling rate than '{names[0]}'")
        for records in self._records():
            values = np.empty((len(records) * self.per_record, len(names)))
            for column, name in enumerate(names):
                values[:, column] = self._physical(self.signals[name], records)
            yield values

    def _trigger_lines(self) -> Iterator[tuple[EdfSignal, Array]]:
        """Yield the trigger channels, with their codes, shape (n_samples,)."""
        for name, signal in self.signals.items():
            if TRIGGERS.match(name):
                yield signal, self._trigger_line(signal)

    def _trigger_line(self, signal: EdfSignal) -> Array:
        # A status channel holds codes, whatever the range in the header.
        is_status = self.header.width == 3 or signal.physical[0] == signal.physical[1]
        read = self._digital if is_status else self._physical
        return joined(read(signal, records).astype(np.float64) for records in self._records())

    def _annotated_pulses_s(self, code: int | None) -> Array:
        wanted = sync_descriptions([note.text for note in self.notes], code)
        onsets_s = np.unique([note.onset_s for note in self.notes if note.text in wanted])
        times_s = onsets_s - self.starts_s[0]
        return times_s[(times_s >= 0) & (times_s < self.duration_s)]

    def _annotations(self) -> tuple[list[Note], Array]:
        """Return the annotations, and the start of each record in seconds, shape (n_records,)."""
        header = self.header
        signals = [signal for signal in header.signals if signal.is_annotation]
        if not signals and header.discontinuous:
            raise RecordingError(
                "discontinuous, but no annotation channel states the start of its records",
                str(self.path),
            )
        notes: list[Note] = []
        starts_s: list[float] = []
        for record in chain.from_iterable(self._records()) if signals else ():
            for signal in signals:
                at = slice(signal.offset, signal.offset + signal.n_samples)
                lists = list(_timed_lists(record[at].tobytes()))
                if signal is signals[0] and lists and b"" in lists[0][1]:
                    starts_s.append(lists[0][0])
                notes += [
                    Note(onset_s, text.decode("utf-8", "replace"))
                    for onset_s, texts in lists
                    for text in texts
                    if text
                ]
        return notes, self._checked_starts(np.array(starts_s))

    def _checked_starts(self, starts_s: Array) -> Array:
        """Return the start of each record: as stated, or regular if the file is continuous."""
        header = self.header
        complete = len(starts_s) == header.n_records
        if header.discontinuous and not complete:
            raise RecordingError(
                "discontinuous, but a record does not state its start", str(self.path)
            )
        overlaps_s = header.record_s - np.diff(starts_s)
        if complete and not (overlaps_s >= SLACK_S).any():
            return starts_s
        # Continuous files whose stated starts are rounded overlap; their starts are regular.
        regular_s = np.arange(header.n_records) * header.record_s
        if not header.discontinuous:
            return np.asarray(regular_s + (starts_s[0] if complete else 0.0), np.float64)
        worst = int(np.argmax(overlaps_s))
        if overlaps_s[worst] > MAX_OVERLAP * header.record_s:
            raise RecordingError(
                f"record {worst + 2} states its start at {starts_s[worst + 1]:g} s, before the end "
                f"of the previous one at {starts_s[worst] + header.record_s:g} s",
                str(self.path),
                "export it again",
            )
        return np.asarray(regular_s + np.maximum.accumulate(starts_s - regular_s), np.float64)


def _timed_lists(content: bytes) -> Iterator[tuple[float, list[bytes]]]:
    """Yield the onset in seconds and the texts of each annotation list (TAL) of a record."""
    for timed_list in content.split(b"\0"):
        stamp, *texts = timed_list.split(b"\x14")
        try:
            onset_s = float(stamp.partition(b"\x15")[0])
        except ValueError:
            continue
        yield onset_s, texts[:-1]  # each text ends with the separator
