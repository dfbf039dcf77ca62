# The two commands that matter: `make demo` and `make test`. Each target does its own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin
FORM := $(wildcard tests/test_docs.py tests/test_house.py tests/test_site.py)
# Without the environment variable, setuptools prints a page of advice on editable installation.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip --quiet

.PHONY: help demo test style drift asserts cases check campaigns lab page notebooks docs bench export clean

help:
	@echo "make demo       train on drawn portraits for a few minutes and show the result in demo/"
	@echo "make test       check everything: notebooks, package, documentation"
	@echo "make check      check in a minute what has changed"
	@echo "make campaigns  check at large what make test checks at small sizes: kills, damaged files, chance"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make page       serve the Enhance page at http://127.0.0.1:8000/ (needs Node.js with npm)"
	@echo "make notebooks  re-execute all notebooks (long: some train networks)"
	@echo "make docs       build the site into _docs/ (needs Quarto)"
	@echo "make bench      measure speed against the post's recipe and scikit-image (ten minutes on two cores)"
	@echo "make export     write the package from the notebooks"

.venv/run: settings.ini setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --upgrade pip
	$(PIP) install --editable .
	touch $@

.venv/dev: .venv/run
	$(PIP) install --editable '.[dev]'
	touch $@

demo: .venv/run
	$(BIN)/deblur-vae demo --out demo

# All four parts beside each other: much of a test is waiting for a browser or a process.
test: .venv/dev
	$(MAKE) --jobs style drift asserts cases

drift: .venv/dev
	$(BIN)/python tools/check_notebooks.py

asserts: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/nbdev_test --n_workers 2

cases: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

campaigns: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -v -m campaign

# Style and types, notebooks and modules, the form of the series, and what the notebooks
# that differ from the last commit assert.
check: style drift
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(FORM)
	git diff HEAD --name-only --diff-filter=d -- 'nbs/*.ipynb' | OMP_NUM_THREADS=1 xargs -r -n 1 -P 2 $(BIN)/nbdev_test --path

style: .venv/dev
	$(BIN)/ruff check
	$(BIN)/mypy

lab: .venv/dev
	$(BIN)/jupyter lab --notebook-dir nbs

page: .venv/dev
	$(BIN)/python tools/site_parts.py --serve

notebooks: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python tools/run_notebooks.py

# 1 what is not committed, 2 notebooks into _proc, 3 the other pages, 4 Quarto, 5 checks,
# 6 a look at every page in a browser, where there is Chromium.
docs: .venv/dev
	@command -v quarto >/dev/null || { echo "Quarto is not installed: get version 1.7.34 from https://quarto.org/docs/download/ and run 'make docs' again"; exit 1; }
	$(BIN)/python tools/site_parts.py
	rm -rf _proc
	PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH=tools $(BIN)/nbdev_proc_nbs
	$(BIN)/python tools/site_pages.py
	cd _proc && quarto render --no-cache
	rm -rf _docs && mv _proc/_docs _docs
	$(BIN)/python tools/site_finish.py
	$(BIN)/python tools/site_browser.py

bench: .venv/run
	$(BIN)/python benchmarks/parts.py
	$(BIN)/python benchmarks/train_speed.py
	$(BIN)/python benchmarks/enhance_speed.py

export: .venv/dev
	$(BIN)/nbdev_clean
	$(BIN)/nbdev_export

clean:
	rm -rf .venv _docs _proc build dist *.egg-info demo runs nbs/runs
