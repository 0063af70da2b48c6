# make book   runs the chapters (PROFILE=smoke unless told otherwise) and builds the pages
# make lab    opens the chapters in JupyterLab, which the first call installs
# make test   runs every test
# make covered   runs every test and lists the lines of code that none of them reached
# make faults   kills runs, trainings and predictions at random moments, fills disks, and compares what is resumed
# make mutants   puts small mistakes into the code, one at a time, and says which of them no test notices
# make bench  records the tables of speed and quality of the book (ONLY=NAME: those whose name begins so), hours
# make lint   checks style and the types of the public faces
# make clean  removes what was built; artifacts and the environment stay
# make lock   writes constraints.txt from the environment
# make cells  writes the first cell of every chapter, for the address in _config.yml

PROFILE ?= smoke
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: book lab test covered faults mutants bench lint clean lock cells

book: $(READY)
	$(BIN)/tsg run --profile "$(PROFILE)"
	$(BIN)/tsg build --profile "$(PROFILE)"

lab: $(READY)
	$(BIN)/python -c 'import jupyterlab' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[lab]" -c constraints.txt
	$(BIN)/python -m jupyterlab notebooks

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# functions that numba compiles cannot be watched
covered: $(READY)
	$(BIN)/python -m slipcover --source tsg_core,tsgbook --omit tsg_core/reconstruction/ray_loops.py \
	  --skip-covered --missing-width 60 -m pytest $(PYTEST_ARGS)

faults: $(READY)
	$(BIN)/python -m pytest tests/faults -m "long or not long" $(PYTEST_ARGS)

mutants: $(READY)
	$(BIN)/python benchmarks/mutants.py $(SUBJECTS)

bench: $(READY)
	PYTHON=$(BIN)/python bash benchmarks/record.sh $(ONLY)

lint: $(READY)
	$(BIN)/ruff check tsg_core tsgbook tests benchmarks
	$(BIN)/ruff format --check tsg_core tsgbook tests benchmarks
	$(BIN)/mypy

clean:
	rm -rf _build .pytest_cache .hypothesis

# nvidia-* and triton come with the CUDA build of torch alone; +cpu and the like name a local build
lock: $(READY)
	$(BIN)/python -m pip freeze --exclude-editable --exclude tsg \
	  | grep -v -i -E '^(nvidia-|cuda-|triton==)|@ ' | sed -E 's/\+[A-Za-z0-9.]+$$//' > constraints.txt.partial
	mv constraints.txt.partial constraints.txt

cells: $(READY)
	$(BIN)/python -m tsgbook.first_cell

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
	  echo "Python 3.11 or 3.12 is needed; $(PYTHON) is `$(PYTHON) --version 2>&1`." \
	    "Name another one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make environments: its venv module is missing. On Debian and Ubuntu:" \
	    "apt-get install python3-venv" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[book,test]" -c constraints.txt
	touch $(READY)
