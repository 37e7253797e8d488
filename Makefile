# make demo and make test do all the set-up themselves: they need Python 3.10 or newer, and make.
#
# make demo installs no PyTorch; make test does. On a machine without a GPU, its small CPU build is enough (pytorch.org
# tells how to get it); PIP_FLAGS is handed to pip.

PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
RECORDING ?= $(firstword $(wildcard examples/*.flac examples/*.wav))
SPEECH ?= $(firstword $(wildcard examples/librispeech*))
OUTPUT ?= output
# What make test-pythons hands to pytest, such as "tests/nn -x".
PYTEST_FLAGS ?=
# What make bench transcribes: a folder of recordings with label files beside them.
LABELLED ?= examples

# The newest torchaudio that is known to load beside its torch; elsewhere it is optional (README.md).
TORCHAUDIO_PAIR := torch==2.11.0 torchaudio==2.11.0
TORCHAUDIO_VENV := .venv-torchaudio

# pip install . without extras, and all that it is made from.
LIGHT_VENV := .venv-light
PACKAGED := $(shell find audiocx pretrained/notes-complex pretrained/librispeech-tuned-complex -type f ! -name '*.pyc')

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
REQUIREMENTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs notebooks test-light coverage test-slow test-pythons test-torchaudio bench wheel clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed  ## transcribe and predict the recordings in examples/ with the bundled networks
	$(BIN)/audiocx transcribe $(RECORDING) -o $(OUTPUT) --overwrite --format midi,csv,png --list
	$(BIN)/audiocx predict $(SPEECH) -o $(OUTPUT) --overwrite --format png,wav

test: $(VENV)/.installed-dev lint docs test-light  ## check style and types, build the documentation, run all tests
	# A process for each core, up to four: the tests of one file most often stay together.
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test-light: $(LIGHT_VENV)/.installed  ## run the tests of the install without extras, in an environment of its own
	$(LIGHT_VENV)/bin/pytest -q -m light tests/light

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	# Scripts of different recipes have the same names: one run for each folder.
	for folder in benchmarks recipes/*/; do MYPYPATH=$$folder $(BIN)/mypy $$folder/*.py || exit 1; done

docs: $(VENV)/.installed-dev  ## build the documentation into site/; a broken link or reference fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

notebooks: $(VENV)/.installed-dev  ## run the notebooks in examples/notebooks and store their outputs
	PYTHONWARNINGS=ignore $(BIN)/jupyter nbconvert --to notebook --execute --inplace examples/notebooks/*.ipynb

coverage: $(VENV)/.installed-dev  ## say which lines the tests do not reach; a third slower than make test
	$(BIN)/python -m pytest --cov --numprocesses auto --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/.installed-dev  ## run the tests that take longer
	$(BIN)/python -m pytest -m slow

test-pythons: $(VENV)/.installed-dev  ## run the tests under Python 3.10 to 3.13, those that are installed
	$(BIN)/nox --no-error-on-missing-interpreters -- $(PYTEST_FLAGS)

test-torchaudio: $(TORCHAUDIO_VENV)/.installed  ## run the tests that need torchaudio, in an environment of their own
	$(TORCHAUDIO_VENV)/bin/python -m pytest -m torchaudio $$(grep -rl --include='test_*.py' mark.torchaudio tests)

bench: $(VENV)/.installed-bench  ## run the benchmarks; their tables and pictures go to output/bench
	mkdir -p $(OUTPUT)/bench
	$(BIN)/python benchmarks/layers.py -o $(OUTPUT)/bench/layers
	for step in inference predictor sequence training; do \
	    $(BIN)/python benchmarks/$${step}_step.py > $(OUTPUT)/bench/$${step}_step.md || exit 1; \
	done
	$(BIN)/python benchmarks/transcribe.py $(LABELLED) > $(OUTPUT)/bench/transcribe.md
	cat $(OUTPUT)/bench/*.md

wheel: $(VENV)/.installed-dev  ## build the wheel and the source archive into dist/
	$(BIN)/python -m build --outdir dist .

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(LIGHT_VENV) $(TORCHAUDIO_VENV) .nox $(OUTPUT) site .coverage dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find audiocx tests recipes benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than what it was made from exactly when an installation is due.
$(VENV)/.installed: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable ".[plots]"
	@touch $@

# Not editable, so that the wheel is what is tested.
$(LIGHT_VENV)/.installed: $(REQUIREMENTS) $(PACKAGED)
	test -x $(LIGHT_VENV)/bin/python || $(PYTHON) -m venv $(LIGHT_VENV)
	$(LIGHT_VENV)/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_FLAGS) \
	    --constraint constraints.txt . pytest
	@touch $@

$(VENV)/.installed-dev: $(REQUIREMENTS) | $(BIN)/python
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable ".[dev]"
	@touch $(VENV)/.installed $@

# torchcvnn asks for packages that its layers do without.
$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(PIP) install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable ".[bench]"
	$(PIP) install --quiet $(PIP_FLAGS) --no-deps torchcvnn==0.10.0
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(TORCHAUDIO_VENV)/.installed: $(REQUIREMENTS)
	$(PYTHON) -m venv $(TORCHAUDIO_VENV)
	grep -v '^torch==' constraints.txt > $(TORCHAUDIO_VENV)/constraints.txt
	$(TORCHAUDIO_VENV)/bin/python -m pip --disable-pip-version-check install --quiet $(PIP_FLAGS) \
	    --constraint $(TORCHAUDIO_VENV)/constraints.txt $(TORCHAUDIO_PAIR) pytest hypothesis --editable ".[torch]"
	@touch $@
