from pathlib import Path

import numpy as np
import torch
from torch.testing import assert_close

from consilience.schema.params.training import TrainingParams
from consilience.training import data
from consilience.training.baseline import references
from consilience.windows.store import Corpus, load_corpus


def prepared(corpus: Corpus) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(corpus.windows(name)) for name in corpus.modalities}


def test_no_subject_has_two_roles_in_a_fold(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    for fold in corpus.folds:
        members = [corpus.members(fold, role) for role in ("train", "validation", "test")]
        assert sorted(np.concatenate(members)) == list(range(len(corpus.index)))
        subjects = [set(corpus.index["subject"].to_numpy()[rows]) for rows in members]
        assert not subjects[0] & subjects[1] | subjects[0] & subjects[2] | subjects[1] & subjects[2]


def test_standardisation_uses_the_training_subjects_only(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    values, rows = prepared(corpus), [corpus.members(0, "train")]
    before = data.fit_scaler(corpus, values, rows, corpus.affect[None], {})
    others = np.setdiff1d(np.arange(len(corpus.index)), rows[0])
    for windows in values.values():
        windows[others] = 1e6
    after = data.fit_scaler(corpus, values, rows, corpus.affect[None], {})
    for name, tensor in before.tensors().items():
        assert_close(tensor, after.tensors()[name], rtol=0, atol=0)


def test_inputs_are_standardised_and_zero_where_missing(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    values, rows = prepared(corpus), corpus.members(0, "train")
    scaler = data.fit_scaler(corpus, values, [rows], corpus.affect[None], {})
    index = torch.from_numpy(rows)[None]
    available = torch.from_numpy(corpus.available).float()[index]
    face = scaler.inputs(values, index, available, {})["face_au"][0]
    has_face = available[0, :, 1] > 0
    assert (face[~has_face] == 0).all()
    assert not has_face.all()
    assert_close(face[has_face].mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    assert_close(face[has_face].std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_rounding_errors_of_a_constant_are_not_enlarged(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    values, rows = prepared(corpus), corpus.members(0, "train")
    values["face_au"] = torch.full_like(values["face_au"], 60.1)
    values["face_au"][:, 1] = torch.randn(len(corpus.index)) + 60.1
    training = TrainingParams(baseline="running")
    of_audio = references(corpus, training)["audio"]
    n = torch.arange(len(corpus.index)).float()
    baselines = {
        "face_au": of_audio._replace(n=n, total=values["face_au"] * n[:, None] * (1 + 1e-7))
    }
    scaler = data.fit_scaler(corpus, values, [rows], corpus.affect[None], baselines)
    index = torch.from_numpy(rows)[None]
    inputs = scaler.inputs(values, index, torch.ones(1, len(rows), 2), baselines)["face_au"][0]
    assert inputs[:, [0, 2]].abs().max() < 1e-3
    assert inputs[:, 1].std() > 0.5


def test_with_a_time_axis_a_channel_is_standardised_as_a_whole(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    signals = torch.randn(len(corpus.index), 4, 50) * torch.tensor([1.0, 5, 1, 1])[:, None] + 3
    rows = corpus.members(0, "train")
    scaler = data.fit_scaler(corpus, {"audio": signals}, [rows], corpus.affect[None], {})
    assert scaler.mean["audio"].shape == scaler.std["audio"].shape == (1, 1, 4, 1)
    windows = signals[rows[corpus.available[rows, 0]]]
    assert_close(scaler.mean["audio"].flatten(), windows.mean((0, 2)))
    assert_close(scaler.std["audio"].flatten(), windows.std((0, 2), correction=0))


def test_a_modality_that_no_training_window_has_is_left_as_it_is(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    rows = corpus.members(0, "train")
    corpus.available[rows, 0] = False
    both = [rows, corpus.members(1, "train")]
    scaler = data.fit_scaler(corpus, prepared(corpus), both, np.stack([corpus.affect] * 2), {})
    assert (scaler.mean["audio"][0] == 0).all()
    assert (scaler.std["audio"][0] == 1).all()
    assert (scaler.std["audio"][1] != 1).all()


def test_a_robust_scale_ignores_outliers_and_flags_keep_their_deviation(
    windows_folder: Path,
) -> None:
    corpus = load_corpus(windows_folder)
    rows = corpus.members(0, "train")
    values = prepared(corpus)
    values["face_au"] = torch.randn(values["face_au"].shape) * 2 + 7
    usable = rows[corpus.available[rows, 1]]
    values["face_au"][usable[0], 0] = 1e9
    values["face_au"][:, 2] = 0
    values["face_au"][usable[:1], 2] = 1
    training = TrainingParams(scale="robust", clip=2.5)
    scaler = data.fit_scaler(corpus, values, [rows], corpus.affect[None], {}, training)
    centre, spread = scaler.mean["face_au"].flatten(), scaler.std["face_au"].flatten()
    assert_close(centre[:2], torch.tensor([7.0, 7.0]), atol=1.0, rtol=0)
    assert_close(spread[:2], torch.tensor([2.0, 2.0]), atol=1.0, rtol=0)
    assert_close(spread[2], values["face_au"][usable, 2].std(correction=0))
    index = torch.from_numpy(usable)[None]
    inputs = scaler.inputs(values, index, torch.ones(1, len(usable), 2), {})["face_au"]
    assert inputs.abs().max() == 2.5


def test_a_robust_scale_of_a_time_axis_is_that_of_the_channel(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    signals = torch.randn(len(corpus.index), 4, 50) * torch.tensor([1.0, 5, 1, 1])[:, None] + 3
    rows = corpus.members(0, "train")
    training = TrainingParams(scale="robust")
    scaler = data.fit_scaler(corpus, {"audio": signals}, [rows], corpus.affect[None], {}, training)
    assert scaler.std["audio"].shape == (1, 1, 4, 1)
    assert_close(scaler.std["audio"].flatten(), torch.tensor([1.0, 5, 1, 1]), rtol=0.1, atol=0)
    restored = data.Scaler.from_tensors(scaler.tensors(), ["audio"])
    assert restored.clip == scaler.clip == 5


def test_a_feature_in_a_large_unit_is_standardised_too(windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    values, rows = prepared(corpus), corpus.members(0, "train")
    values["face_au"] = torch.randn(values["face_au"].shape) * 1e-12  # V²
    scaler = data.fit_scaler(corpus, values, [rows], corpus.affect[None], {})
    assert (scaler.std["face_au"] < 1e-11).all()
