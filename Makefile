PYTHON_VENV := .venv/bin/python
SOURCES := mmdet_kd tools tests benchmarks docs/conf.py

.PHONY: help setup demo test test-sweeps test-all lint docs site format

help:
	@echo "make demo      set up .venv, draw a set, train teacher and students, print what distillation gains"
	@echo "make test      set up .venv, run the tests"
	@echo "make test-all  the tests and the sweeps over every config"
	@echo "make lint      ruff, codespell and mypy"
	@echo "make docs      write the tables that the documents quote"
	@echo "make site      build the documents as a site, in build/site; a warning is an error"

setup:
	@bash tools/dev/set_up.sh

demo: setup
	@$(PYTHON_VENV) tools/demo.py

test: setup
	$(PYTHON_VENV) -m pytest -n 2 -m "not slow"

test-sweeps: setup
	$(PYTHON_VENV) -m pytest -n 2 -m slow

test-all: test test-sweeps

lint: setup
	.venv/bin/ruff check $(SOURCES) configs
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/codespell mmdet_kd configs tools tests benchmarks docs README.md CHANGELOG.md
	.venv/bin/mypy mmdet_kd/losses mmdet_kd/adapters

docs: setup
	$(PYTHON_VENV) tools/dev/write_docs.py

site: setup
	$(PYTHON_VENV) -m sphinx -q -W --keep-going -n -d build/doctrees -c docs . build/site

format: setup
	.venv/bin/ruff check --fix $(SOURCES) configs
	.venv/bin/ruff format $(SOURCES)
