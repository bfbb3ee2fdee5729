# Two commands run everything on a fresh machine with Python and make:
#   make demo   creates .venv, then renders data, trains, evaluates, explains and predicts
#   make test   creates .venv, then runs lint, types, tests and the build of the docs
# make test-all adds the tests marked `slow`, and the pages of the docs on their real backbones.
# These take longer:
#   make fuzz           feeds 10,000 damaged files to the image reader
#   make pytest-lowest  runs the tests on the lowest versions that pyproject.toml allows
#   make release-model EYES=FOLDER MAPS=FOLDER PICTURES=FOLDER  trains the released model
# make check-version TAG=v0.1.0 compares a tag with the versions in the files.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOWEST := .venv-lowest
# A snippet needs those before it on its page; tests are independent.
TESTS := tests src --numprocesses 2 --dist worksteal
SNIPPETS := README.md docs --numprocesses 2 --dist loadfile

.PHONY: demo test test-all lint types pytest snippets slow pytest-lowest fuzz docs dist check-version release-folders release-model clean

demo: $(VENV)/.demo
	$(BIN)/planetvision demo --out demo --overwrite

# First the two that take one core each, then the two that fill whatever is free.
test: lint
	$(MAKE) --jobs 2 --output-sync=target types docs pytest snippets

test-all: test slow

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python release/check_words.py
	$(BIN)/pyproject-fmt --check pyproject.toml

types: $(VENV)/.test
	$(BIN)/mypy

# Two processes for two cores: more threads per process cost more than they save.
pytest snippets slow pytest-lowest: export OMP_NUM_THREADS := 1
pytest: $(VENV)/.test
	$(BIN)/python -m pytest $(TESTS) -m "not slow"

snippets: $(VENV)/.test
	$(BIN)/python -m pytest $(SNIPPETS)

slow: $(VENV)/.test
	$(BIN)/python -m pytest $(TESTS) -m "slow or hypothesis" --hypothesis-profile thorough
	$(BIN)/python -m pytest $(SNIPPETS) --as-written

pytest-lowest: $(LOWEST)/.test
	$(LOWEST)/bin/python -m pytest $(TESTS)
	$(LOWEST)/bin/python -m pytest $(SNIPPETS)

fuzz: $(VENV)/.test
	$(BIN)/python benchmarks/fuzz_images.py --count 10000

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(VENV)/.test
	$(BIN)/python -m build

check-version:
	$(PYTHON) release/check_version.py "$(TAG)"

release-folders:
	@test -d "$(EYES)" -a -d "$(MAPS)" -a -d "$(PICTURES)" \
		|| { echo "name three folders: make release-model EYES=... MAPS=... PICTURES=..."; exit 1; }

release-model: release-folders $(VENV)/.demo
	$(BIN)/python release/train.py "$(EYES)" --maps "$(MAPS)" --pictures "$(PICTURES)"

clean:
	rm -rf $(VENV) $(LOWEST) build dist site demo

%/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "planetvision needs Python 3.10 or newer; name one: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -m venv $* \
		|| { echo "no virtual environment could be made; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.demo: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e ".[offline]"
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) install --quiet "pip>=25.1"  # the first with --group
	$(PIP) install --quiet -c constraints.txt -e ".[all]" --group dev --group docs
	@touch $@ $(VENV)/.demo

$(LOWEST)/.test: $(LOWEST)/.python pyproject.toml
	$(LOWEST)/bin/python -m pip --disable-pip-version-check install --quiet uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e ".[all]" --group dev
	@touch $@
