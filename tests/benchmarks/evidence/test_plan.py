import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks.evidence import plan
from benchmarks.evidence.claims import AIMS, ALL_REAL, CORPORA, FEW, NOISY, PARTS
from benchmarks.evidence.pages import ANNEX, CONTROLS
from benchmarks.evidence.results import METHOD
from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError

EVIDENCE = Path(__file__).parents[3] / "benchmarks/evidence"
CONTENT = YAML(typ="safe").load((EVIDENCE / "experiments.yaml").read_text())

SMALL = {
    "corpora": {"demo": {"root": "data/raw/demo"}},
    "entries": {"hybrid": {"method": "hybrid"}, "plain": {"method": "concat"}},
    "groups": {"both": ["hybrid", "plain"]},
    "experiments": {
        "clean": {"corpus": "demo", "sensors": ["eeg"], "entries": ["plain", "both"]},
    },
    "cost": {"experiment": "clean", "entries": ["hybrid"]},
}


def write(folder: Path, **changes: object) -> Path:
    path = folder / "experiments.yaml"
    path.write_text(json.dumps({**SMALL, **changes}))
    return path


def test_groups_stand_for_their_entries_once(tmp_path):
    planned = plan.load(write(tmp_path))
    assert planned.expanded(planned.experiments["clean"].entries) == ["plain", "hybrid"]


def test_an_entry_has_its_methods_parameters(tmp_path):
    planned = plan.load(write(tmp_path, entries={**SMALL["entries"], "plain": {"method": "kd"}}))
    entry = planned.entry("plain")
    assert (entry.name, entry.method) == ("plain", "kd")
    assert entry.params == registry.get("methods", "kd").Params()


TUNED = {
    "entries": {**SMALL["entries"], "half": {"like": "hybrid", "unimodal": 0.5}},
    "candidates": {"hybrid": [{"unimodal": 2.0}], "plain": [{"training": {"dropout": 0.1}}]},
    "tuned": {"clean": "demo"},
}


def test_chosen_settings_change_an_entry_and_those_like_it(tmp_path):
    planned = plan.load(write(tmp_path, **TUNED))
    assert planned.trials("hybrid") == [{}, {"unimodal": 2.0}]
    assert planned.entry("hybrid", {"unimodal": 2.0}).params.unimodal == 2
    assert planned.entry("half", {"unimodal": 2.0}).params.unimodal == 0.5
    (changes,) = planned.candidates["plain"]
    trained = planned.entry("plain", changes).training.applied_to(params.TrainingParams())
    assert trained == params.TrainingParams(dropout=0.1)


def tuned(**candidates: object) -> dict[str, object]:
    return {**TUNED, "candidates": {**TUNED["candidates"], **candidates}}


def chosen_on(name: str, **more: object) -> dict[str, object]:
    other = {**SMALL["experiments"]["clean"], "chosen_on": name, **more}
    return {**TUNED, "experiments": {**SMALL["experiments"], "other": other}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (tuned(hybrid=[]), "same number"),
        (tuned(hybrid=[{"unimodal": 1.0}]), "duplicate"),
        (tuned(hybrid=[{"ramp": 1.0}]), "ramp"),
        (tuned(hybrid=[{"training": {"dropout": 0.1}}]), "parameters of its own"),
        (tuned(plain=[{"training": {"epochs": 99}}]), "epochs"),
        (tuned(half=[{"unimodal": 2.0}]), "half"),
        ({**TUNED, "candidates": {"hybrid": [{"unimodal": 2.0}]}}, "missing for 'plain' of clean"),
        ({**TUNED, "tuned": {"clean": "ravdess"}}, "on corpus 'ravdess'"),
        ({"entries": {**SMALL["entries"], "half": {"like": "odd"}}}, "'like' must name"),
        (chosen_on("other"), "not tuned"),
        (chosen_on("clean", scenario={"random_split": True}), "different folds"),
        ({"entries": {"hybrid": {"method": "hybrit"}, "plain": {"method": "kd"}}}, "hybrid"),
        ({"entries": {"hybrid": {}, "plain": {"method": "kd"}}}, "no method"),
        ({"entries": {"hybrid": {"method": "kd", "ramps": 1}, "plain": {"method": "kd"}}}, "ramps"),
        ({"groups": {"both": ["hybrid", "odd"]}}, "odd"),
        ({"corpora": {"other": {"root": "x"}}}, "demo"),
        ({"cost": {"experiment": "unclean", "entries": ["hybrid"]}}, "unclean"),
    ],
)
def test_an_invalid_plan_is_one_clear_line(tmp_path, changes, message):
    with pytest.raises(ConsilienceError, match=message) as caught:
        plan.load(write(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_a_missing_plan_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="missing plan"):
        plan.load(tmp_path / "experiments.yaml")


@pytest.fixture(scope="module")
def planned() -> plan.Plan:
    return plan.load(EVIDENCE / "experiments.yaml")


def test_the_entry_of_the_claims_has_its_method(planned):
    assert planned.entry(METHOD).method == METHOD


@pytest.mark.parametrize("corpus", CONTENT["corpora"])
def test_every_corpus_has_its_parameters_and_kinds_of_corruption(planned, corpus):
    path = EVIDENCE / corpus / "params.yaml"
    settings = params.load(path)
    content = YAML(typ="safe").load(path.read_text())
    assert path.read_text() == params.document(content)
    assert settings.dataset.root == planned.corpora[corpus].root
    for name, own in settings.modalities.items():
        kinds = registry.get("modalities", name).Params.CORRUPTION_KINDS
        if corpus == "demo":  # the annex has some of each sensor, to be short
            assert set(own.corruptions) < set(kinds)
            assert set(own.corruptions) & set(settings.training.held_out)
        else:
            assert list(own.corruptions) == list(kinds)


@pytest.mark.parametrize("corpus", CONTENT["corpora"])
def test_every_corpus_has_the_protocol(planned, corpus):
    settings = params.load(EVIDENCE / corpus / "params.yaml")
    assert settings.training.baseline == "running"
    assert settings.training.seeds == [0, 1, 2]
    assert settings.training.refit
    assert settings.training.corrupted == 0
    kinds = {kind for own in settings.modalities.values() for kind in own.corruptions}
    assert set(settings.training.held_out) < kinds
    assert settings.training.held_out
    if corpus != "demo":
        assert settings.splits.folds == 6


@pytest.mark.parametrize("name", CONTENT["experiments"])
def test_every_experiment_has_its_sensors_and_held_out_kinds_of_them(planned, name):
    experiment = planned.experiments[name]
    settings = params.load(EVIDENCE / experiment.corpus / "params.yaml")
    assert set(experiment.sensors) <= set(settings.modalities)
    kinds = {kind for n in experiment.sensors for kind in settings.modalities[n].corruptions}
    assert kinds & set(settings.training.held_out)


def test_every_comparison_of_the_claims_is_planned(planned):
    def entries(experiment):
        return set(planned.expanded(planned.experiments[experiment].entries))

    for name in ALL_REAL:
        wanted = {METHOD, "coherence_corrupted", "no_modality_subsets", "no_baseline"}
        assert wanted | {"hybrid", "hybrid_corrupted", "gated_hybrid"} <= entries(name)
    for name in NOISY:
        assert {METHOD, "co_teaching"} <= entries(name)
    for name in FEW:
        wanted = {METHOD, "no_transfer", "self_training", "kd", "hybrid", "shuffled_teacher"}
        assert wanted <= entries(name)
    for aim in AIMS:
        assert aim.entry in entries(aim.experiment)
    for name, (experiment, *_) in PARTS.items():
        assert name in entries(experiment)
    assert {ANNEX, *CONTROLS} <= set(planned.experiments)


def test_the_real_corpora_are_tried_with_the_same_peers(planned):
    peers = [
        {
            name
            for name in planned.expanded(planned.experiments[experiment].entries)
            if planned.entry(name).method != METHOD
        }
        for experiment in CORPORA
    ]
    assert all(set(planned.groups["peers"]) <= of_corpus for of_corpus in peers)


def test_an_entry_can_have_a_baseline_of_its_own(planned):
    training = params.TrainingParams(baseline="running")
    enrolled = planned.entry("enrolment_baseline").training.applied_to(training)
    assert (enrolled.baseline, enrolled.enrolment, enrolled.enrolment_s) == (
        "enrolment",
        "rest",
        20.0,
    )
    assert planned.entry(METHOD).training.applied_to(training) == training
