"""Windows are found again in the files of their recordings."""

from __future__ import annotations

from pathlib import Path

from consilience.project import Project
from consilience.schema.tables import Alignment, Pieces, Recordings, frame_of, write_table
from consilience.windows.places import places, session_sources


def project(root: Path) -> Project:
    """Write the catalog and the clocks of a session with three recordings, one not aligned."""
    project = Project(root)
    alignment, pieces = [], []
    for number, (modality, path) in enumerate(
        (("eeg", "a.xdf"), ("audio", "a.wav"), ("video", "a.mp4"))
    ):
        name = f"one_{modality}"
        row = {"recording": name, "session": "one", "subject": "ada", "modality": modality}
        item = "EEG" if modality == "eeg" else None
        row |= {"path": path, "item": item, "clock": "anchors", "status": "ok"}
        table = frame_of([row], Recordings)
        write_table(project.recordings_table(modality), table, Recordings)
        status = "unaligned" if modality == "audio" else "aligned"
        alignment.append(
            {"recording": name, "session": "one", "modality": modality, "method": "pulses"}
            | {"n_anchors": 3, "n_pieces": 1, "status": status}
        )
        piece = {"recording": name, "from_native_s": 0.0, "until_native_s": 20.0}
        pieces.append(piece | {"offset_s": float(number), "drift_ppm": 0.0})
    write_table(project.alignment / "alignment.parquet", frame_of(alignment, Alignment), Alignment)
    write_table(project.alignment / "pieces.parquet", frame_of(pieces, Pieces), Pieces)
    return project


def test_a_moment_is_a_second_of_every_aligned_file_pictures_first(tmp_path: Path) -> None:
    sources = session_sources(project(tmp_path), ["eeg", "audio", "video"])
    assert list(sources) == ["one"]
    listed = places(sources["one"], 10.0)
    assert [str(place) for place in listed] == ["video: a.mp4 8.00 s", "eeg: a.xdf [EEG] 10.00 s"]


def test_a_recording_that_does_not_cover_a_moment_is_not_listed(tmp_path: Path) -> None:
    sources = session_sources(project(tmp_path), ["eeg", "video"])
    assert [place.modality for place in places(sources["one"], 1.0)] == ["eeg"]
    assert places(sources["one"], 99.0) == []
