# Needs python3 (3.11 or later, with venv and pip) and nothing else.

PYTHON ?= python3
VENV ?= .venv
INSTALLED := $(VENV)/.installed

.PHONY: run test lock audit

run: $(INSTALLED)
	@exec $(VENV)/bin/spigot up

# Compiled once, not by each of the processes.
test: $(INSTALLED)
	@$(VENV)/bin/python -m compileall -q -j 0 spigot tests/support
	@$(VENV)/bin/pytest --numprocesses auto --dist worksteal

# Renews requirements.lock: the newest versions that pyproject.toml allows.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile --quiet --upgrade --universal --generate-hashes \
	  --no-emit-index-url --no-header --extra dev pyproject.toml --output-file requirements.lock

# Asks whether a version in requirements.lock has a known fault; needs the network.
audit:
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install --quiet pip-audit
	build/audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip

$(INSTALLED): requirements.lock pyproject.toml | $(VENV)/bin/pip
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements.lock
	$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("Spigot needs Python 3.11")'
	$(PYTHON) -m venv $(VENV)
