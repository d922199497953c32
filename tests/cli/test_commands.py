from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path

import edfio
import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from consilience import params
from consilience.cli import commands
from consilience.cli.commands import app
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.schema.tables import RecordingCoherence, frame_of, write_table
from tests.label_studio.recorded import export, study, written
from tests.model_registry.small import retrain, trained_project


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["eeg", "voice_embedding", "upper_face_au", "video"])
def test_what_is_shown_can_be_pasted(name: str) -> None:
    shown = YAML(typ="safe").load(run("corruptions", name))
    model = registry.get("modalities", name).Params
    assert model(**shown).corruptions.keys() == model.CORRUPTION_KINDS.keys()


def test_an_unknown_modality_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match="did you mean 'eeg'"):
        run("corruptions", "egg")


def use(project: Path, *arguments: str) -> str:
    return run("--project", str(project), "use", *arguments)


def clip(folder: Path) -> None:
    folder.mkdir()
    (folder / "03-01-06-02-01-01-17.wav").touch()


def test_modalities_are_chosen_in_the_order_given(tmp_path: Path) -> None:
    clip(tmp_path / "x")
    use(tmp_path, "ravdess", "--root", "x", "--modalities", "upper_face_au, audio")
    assert list(params.load(tmp_path / "params.yaml").modalities) == ["upper_face_au", "audio"]


def test_an_edited_file_is_not_overwritten(tmp_path: Path) -> None:
    clip(tmp_path / "x")
    use(tmp_path, "demo")
    use(tmp_path, "ravdess", "--root", "x")  # the first one is as it was written
    file = tmp_path / "params.yaml"
    text = file.read_text().replace("epochs: ", "epochs: 1")
    file.write_text(text)
    with pytest.raises(ConsilienceError, match="add --force"):
        use(tmp_path, "demo")
    assert file.read_text() == text
    use(tmp_path, "demo", "--force")
    assert params.load(file).dataset.name == "demo"


def test_the_root_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="nowhere: not a directory"):
        use(tmp_path, "ravdess", "--root", "nowhere")
    assert not (tmp_path / "params.yaml").exists()


def test_channels_and_rates_of_the_recordings_are_written(tmp_path: Path) -> None:
    names = ("AF7", "AF8", "TP9", "TP10")
    rng = np.random.default_rng(0)
    (tmp_path / "raw").mkdir()
    rows = ["session,subject,modality,path"]
    for session in ("one", "two"):
        signals = [
            edfio.EdfSignal(rng.normal(0, 20, 2560), 256, label=name, physical_dimension="uV")
            for name in names
        ]
        edfio.Edf(signals).write(tmp_path / f"raw/{session}.edf")
        rows.append(f"{session},ada,eeg,{session}.edf")
    (tmp_path / "raw/recordings.csv").write_text("\n".join(rows))
    line = "eeg: 256 Hz in 2 opened recordings; channels AF7, AF8, TP9, TP10"
    assert f"found {line}" in use(tmp_path, "folder", "--root", "raw")
    file = tmp_path / "params.yaml"
    assert f"# {line}\n" in file.read_text()
    assert params.load(file).modalities["eeg"].channels == names
    use(tmp_path, "folder", "--root", "raw")  # unedited


def test_anonymous_channels_of_openbci_are_read_once_use_has_assumed_their_positions(
    tmp_path: Path,
) -> None:
    eeg_uv = 20 * np.random.default_rng(1).standard_normal((2500, 8))
    exg = [f"EXG Channel {number}" for number in range(8)]
    rows = "".join(
        f"{index % 256}, {', '.join(f'{value:.4f}' for value in row)}, 192.0, 192.0\n"
        for index, row in enumerate(eeg_uv)
    )
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.txt").write_text(
        "%Number of channels = 8\n%Sample Rate = 250 Hz\n"
        f"Sample Index, {', '.join(exg)}, Other, Other\n{rows}"
    )
    (tmp_path / "raw/recordings.csv").write_text("session,subject,modality,path\na,ada,eeg,a.txt")
    checked = ("--project", str(tmp_path), "check", str(tmp_path / "raw"), "--dataset", "folder")
    refused = CliRunner().invoke(app, checked)
    assert refused.exit_code == 1
    assert "'consilience use' writes those that are usual for OpenBCI" in refused.output
    written = use(tmp_path, "folder", "--root", "raw")
    assert "OpenBCI's usual positions are assumed (EXG Channel 0 as Fp1, EXG" in written
    settings = params.load(tmp_path / "params.yaml").modalities["eeg"]
    assert settings.channels == ("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2")
    assert "problems: none" in run(*checked)
    signal = registry.get("modalities", "eeg").read(tmp_path / "raw/a.txt", None, settings)
    assert signal.channels == settings.channels
    assert 1e6 * signal.values.std(axis=0) == pytest.approx(np.full(8, 20), rel=0.05)
    assert np.isfinite(registry.get("modalities", "eeg").features(signal, settings).values).all()


def test_a_check_needs_a_dataset_or_an_evaluation(tmp_path: Path) -> None:
    check = ("--project", str(tmp_path), "check")
    with pytest.raises(ConsilienceError, match="ROOT is missing"):
        run(*check)
    with pytest.raises(ConsilienceError, match="--dataset is missing"):
        run(*check, str(tmp_path))
    with pytest.raises(ConsilienceError, match="not evaluated yet"):
        run(*check, "--coherence")
    with pytest.raises(ConsilienceError, match="omit ROOT and --dataset"):
        run(*check, str(tmp_path), "--coherence")


def test_contradictions_are_printed_written_and_a_failure_on_request(tmp_path: Path) -> None:
    table = frame_of(
        [
            {"session": "one", "subject": "ada", "sensor": name, "windows": 9, "llr": llr}
            | {"probability": probability, "named": probability > 0.5}
            for name, llr, probability in (("eeg", -8.0, 0.98), ("audio", 1.0, 0.0))
        ],
        RecordingCoherence,
    )
    write_table(tmp_path / "data/evaluation/recordings.parquet", table, RecordingCoherence)
    check = ("--project", str(tmp_path), "check", "--coherence")
    output = run(*check, "--json", str(tmp_path / "all.json"))
    assert "1 of 1 recordings" in output
    content = json.loads((tmp_path / "all.json").read_text())
    assert content["contradictions"][0]["sensors"] == ["eeg"]
    assert CliRunner().invoke(app, [*check, "--on-problem", "fail"]).exit_code == 1


def test_answers_are_imported_and_the_next_step_is_printed(tmp_path: Path) -> None:
    study(tmp_path)
    command = ("--project", str(tmp_path), "annotate", "import")
    output = run(*command, str(written(tmp_path, export())))
    assert "5 answers for 2 tasks, 1 skipped; 5 annotations in " in output
    assert "'consilience run' labels the windows with them" in output
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "absent.json")])
    assert refused.exit_code == 1
    assert isinstance(refused.exception, ConsilienceError)


def test_an_export_before_the_query_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="the table is missing"):
        run("--project", str(tmp_path), "annotate", "export", "-o", str(tmp_path / "tasks.json"))


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").strip() == version("consilience")


def test_names_have_a_line_each_and_are_read_by_programs(tmp_path: Path) -> None:
    printed = run("names")
    for kind in ("datasets", "modalities", "methods", "encoders", "inputs"):
        assert f"{kind}:\n" in printed
    listed = json.loads(CliRunner().invoke(app, ["names", "--json", "-"]).stdout)
    assert list(listed["methods"]) == registry.listed("methods")
    assert all(line for lines in listed.values() for line in lines.values())
    run("names", "--json", str(tmp_path / "names.json"))
    assert json.loads((tmp_path / "names.json").read_text()) == listed


def test_a_study_without_a_report_has_none_to_open(tmp_path: Path) -> None:
    report = tmp_path / "data/report/report.html"
    with pytest.raises(ConsilienceError, match="run 'consilience run'"):
        run("--project", str(tmp_path), "open")
    report.parent.mkdir(parents=True)
    report.touch()
    printed = run("--project", str(tmp_path), "open").strip()
    assert printed == str(tmp_path / "data/report.html")
    assert Path(printed).read_bytes() == report.read_bytes()


def test_init_reports_what_it_found_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = run("init", str(tmp_path / "a study"))
    assert printed.endswith(f"next: cd '{tmp_path}/a study' && consilience run\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("init", ".").endswith("created .; next: consilience run\n")


def test_an_unknown_name_is_an_error_of_its_argument(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for words, argument in (
        (["use", "ravdes"], "DATASET"),
        (["init", str(tmp_path / "y"), "--dataset", "ravdes", "--root", "x"], "--dataset"),
        (["check", str(tmp_path / "x"), "--dataset", "ravdes"], "--dataset"),
        (["predict", "bundle", str(tmp_path / "x"), "--dataset", "ravdes"], "--dataset"),
        (["evaluate", "bundle", str(tmp_path / "x"), "--dataset", "ravdes"], "--dataset"),
    ):
        what = f"^{argument}: unknown dataset 'ravdes' .did you mean 'ravdess'"
        with pytest.raises(ConsilienceError, match=what):
            run("--project", str(tmp_path), *words)


def test_a_shell_completes_the_names_of_plug_ins() -> None:
    environment = {"_CONSILIENCE_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    for typed, name in (("use rav", "ravdess"), ("corruptions eeg_", "eeg_signal")):
        done = CliRunner().invoke(
            app,
            env={**environment, "COMP_WORDS": f"consilience {typed}"},
            prog_name="consilience",
        )
        assert done.stdout.split() == [name]


def test_bench_lists_corpora_and_exits_with_1_if_every_one_failed(tmp_path: Path) -> None:
    text = "methods: [concat]\ncorpora:\n  one: {dataset: eegmat, root: nowhere}\n"
    (tmp_path / "bench.yaml").write_text(text)
    assert "corpus one: dataset 'eegmat'" in run("bench", str(tmp_path), "--list")
    assert not (tmp_path / "index.html").exists()
    done = CliRunner().invoke(app, ["bench", str(tmp_path), "--json", "-"])
    assert done.exit_code == 1
    content = json.loads(done.stdout)
    assert "not a directory" in content["corpora"]["one"]["reason"]
    assert "one: failed: " in done.stderr
    assert (tmp_path / "index.html").is_file()


def test_lines_for_people_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    line = "a:cat:b [bold]" + "x" * 200
    commands._printer(None)(line)
    commands._printer(commands.STDOUT)(line)
    captured = capsys.readouterr()
    assert captured.out == captured.err == line + "\n"


def test_options_state_what_a_report_shows_of_people_and_use_keeps_it(tmp_path: Path) -> None:
    def privacy(*arguments: str) -> tuple[bool, bool]:
        run("--project", str(tmp_path), "use", "demo", *arguments)
        section = params.read_yaml(tmp_path / "params.yaml")["privacy"]
        return section["pseudonyms"], section["no_faces"]

    assert privacy() == (False, True)
    assert privacy("--pseudonyms", "--faces") == (True, False)
    assert privacy() == (True, False)  # not an edited file, and not forgotten
    assert privacy("--no-faces", "--modalities", "eeg") == (True, True)
    assert privacy("--names", "--force") == (False, True)


def test_models_are_compared_accepted_listed_used_and_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = trained_project(tmp_path / "study")
    here = ("--project", str(project.root))
    assert "no model is accepted yet" in run(*here, "models")
    assert "first: no model is accepted yet" in run(*here, "gate")
    assert "v0001 is current" in run(*here, "promote")
    retrain(project, 3, epochs=1, learning_rate=1e-7)
    for command in ("gate", "promote"):
        blocked = CliRunner().invoke(app, [*here, command])
        assert blocked.exit_code == 1
        assert "blocked: hybrid against v0001" in blocked.output
        assert "worse by more than 0.02" in blocked.output
    with pytest.raises(ConsilienceError, match="--reason is missing"):
        run(*here, "promote", "--force")
    with pytest.raises(ConsilienceError, match="--reason without --force"):
        run(*here, "promote", "--reason", "x")
    assert "v0002 is current" in run(*here, "promote", "--force", "--reason", "a test")
    used: list[Path] = []

    def predicted(project: object, bundle: Path, *_: object) -> None:
        used.append(bundle)
        raise ConsilienceError("enough", "test")

    monkeypatch.setattr("consilience.prediction.run.predict_recordings", predicted)

    def bundle_of(name: str) -> Path:
        with pytest.raises(ConsilienceError, match="enough"):
            run(*here, "predict", name, str(tmp_path))
        return used.pop()

    assert bundle_of("accepted") == project.registry / "v0002/bundle"
    assert "v0001 is current" in run(*here, "rollback")
    assert bundle_of("accepted") == project.registry / "v0001/bundle"
    assert bundle_of("accepted@v0002") == project.registry / "v0002/bundle"
    assert bundle_of("data/models/hybrid") == Path("data/models/hybrid")
    run(*here, "models", "--json", str(tmp_path / "models.json"))
    listed = json.loads((tmp_path / "models.json").read_text())["versions"]
    assert [(row["name"], row["state"]) for row in listed] == [("v0001", "current"), ("v0002", "")]
    assert listed[1]["decision"]["reasons"] == ["forced: a test"]
    run(*here, "export", "accepted", "-o", str(tmp_path / "copy"))
    card = (project.registry / "v0001/bundle/card.json").read_bytes()
    assert (tmp_path / "copy/card.json").read_bytes() == card


def test_intermediate_results_are_trimmed_unless_dvc_uses_the_study(tmp_path: Path) -> None:
    entry = tmp_path / f"data/.store/eeg/{'0' * 64}.json"
    entry.parent.mkdir(parents=True)
    entry.write_text("{}")
    users = tmp_path / ".dvc/tmp/rwlock"
    users.parent.mkdir(parents=True)
    users.write_text(json.dumps({"write": {"a": {"pid": os.getpid(), "cmd": "dvc repro"}}}))
    with pytest.raises(ConsilienceError, match="in use by process"):
        run("--project", str(tmp_path), "trim", "--max-gib", "0")
    users.unlink()
    printed = run("--project", str(tmp_path), "trim", "--max-gib", "0")
    assert printed == "1 result removed; 0.00 GiB remain\n"
    assert not entry.exists()
