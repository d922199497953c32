from benchmarks.evidence import code


def test_a_module_brings_what_it_imports(monkeypatch, tmp_path):
    files = {name: tmp_path / f"{name}.py" for name in ("pipeline.a", "pipeline.b", "pipeline.c")}
    files["pipeline.a"].write_text("from pipeline import b\nimport numpy\n")
    files["pipeline.b"].write_text("from pipeline.c import thing\n")
    files["pipeline.c"].write_text("thing = 1\n")
    monkeypatch.setattr(code, "_source", lambda name: files.get(name))
    before = code.code_hash(["pipeline.a"])
    assert before == code.code_hash(["pipeline.a"])
    files["pipeline.c"].write_text("thing = 2\n")
    assert before != code.code_hash(["pipeline.a"])
    assert code.code_hash(["pipeline.b"]) != code.code_hash(["pipeline.c"])


def test_every_method_brings_its_losses(monkeypatch):
    asked: list[str] = []
    original = code._source
    monkeypatch.setattr(code, "_source", lambda name: (asked.append(name), original(name))[1])
    code.code_hash(["consilience.methods.kd"])
    assert "consilience.model.losses" in asked
    assert "consilience.core.files" not in asked
