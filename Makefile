# All that has to be on the machine is make and a python3 of version 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCUMENTED := $(VENV)/.documented
DATA := $(or $(ALBIREO_DATA),../shared/data)

.PHONY: install test slow science lint format docs pictures demo model populations benchmark calibration clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "albireo needs Python 3.11 or newer; name one with `make PYTHON=python3.x`.")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

test: install
	$(BIN)/python -m pytest

slow: install
	$(BIN)/python -m pytest -m slow --dist load

science: install
	$(BIN)/python -m pytest -m science

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DOCUMENTED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

pictures: install
	$(BIN)/python docs/run_tutorials.py

$(DOCUMENTED): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

demo: install
	rm -rf demo-output
	$(BIN)/albireo demo -o demo-output

model: install
	$(BIN)/albireo train $(DATA)/green2020_stars.fits -o src/albireo/data/default.safetensors --overwrite \
	    --seed 0 --floor-in-errors 0.02 --source "doi:10.5281/zenodo.3902382 (Green et al. 2021)"

populations: install
	$(BIN)/python -m albireo.priors.isochrones $(DATA)/parsec_isochrones.fits.gz src/albireo/data/populations.npz

benchmark: install
	$(BIN)/albireo evaluate default $(DATA)/green2020_stars.fits --held-out --floor-in-errors 0.02 \
	    --against $(DATA)/green2020_published
	$(BIN)/python -m benchmarks.cross_validation
	$(BIN)/python -m benchmarks.real_stars
	$(BIN)/python -m benchmarks.training

calibration: install
	rm -rf calibration-output
	$(BIN)/albireo calibrate -o calibration-output/importance --sampler importance --num-stars 2000
	$(BIN)/albireo calibrate -o calibration-output/importance-edsd --sampler importance --num-stars 2000 --prior edsd
	$(BIN)/albireo calibrate -o calibration-output/nuts --sampler nuts --num-stars 2000
	$(BIN)/albireo calibrate -o calibration-output/nested --sampler nested --num-stars 200

clean:
	rm -rf $(VENV) build dist site demo-output calibration-output .pytest_cache .ruff_cache
