# What is run by hand while working on Kling Once. `just` lists it; each line also works when typed in a shell
# with the virtual environment active.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

python := env("PYTHON", "python3")

_list:
    @{{ just_executable() }} --list --unsorted

# Make .venv with all that tests and checks need; torch: what pip is told to install as torch
setup torch="torch":
    {{ python }} -m venv .venv
    python -m pip install {{ torch }}
    python -m pip install --requirement requirements.lock
    python -m pip install --no-deps --editable .
    pre-commit install

# Fast lane, further arguments go to pytest: just test -x tests/jobs
test *arguments:
    pytest -m "not media and not process and not host and not browser and not fleet" {{ arguments }}

# Process lane: kills real processes, waits in real time
test-process *arguments:
    pytest -m process {{ arguments }}

# Media lane: needs ffmpeg and ffprobe
test-media *arguments:
    pytest -m media {{ arguments }}

# Host lane: needs ComfyUI
test-host *arguments:
    REQUIRE_COMFYUI=1 pytest -m host {{ arguments }}

# Browser lane: needs ComfyUI and Chromium
test-browser *arguments:
    REQUIRE_COMFYUI=1 REQUIRE_BROWSER=1 pytest -m browser {{ arguments }}

# Fleet lane: needs PostgreSQL's initdb
test-fleet *arguments:
    REQUIRE_POSTGRESQL=1 pytest -m fleet {{ arguments }}

# Take the README's pictures anew: needs ComfyUI and Chromium
pictures:
    SCREENSHOTS=docs/images REQUIRE_COMFYUI=1 REQUIRE_BROWSER=1 pytest -n 0 tests/browser/test_pictures.py

# Every lane that this machine can run
test-all *arguments:
    pytest {{ arguments }}

# Format and lint Python, and mend what can be mended
lint:
    ruff format .
    ruff check --fix .

# Check types of Python
types:
    pyright --pythonpath "$(command -v python)"

# Check types of the page's scripts
js:
    npm ci
    npx tsc --noEmit

# Look for code that nothing uses; pyproject.toml lists what others use
dead-code:
    vulture

# Fast lane and the ledger's tests on PostgreSQL, with branch coverage of the parts that hold money: at least 95 %
coverage:
    coverage erase
    pytest -m "not media and not process and not host and not browser and not fleet" --cov --cov-report=
    pytest -m fleet --cov --cov-append --cov-report= tests/ledger
    coverage report --fail-under=95 --include='kling_once/api/*,kling_once/ledger/*,kling_once/jobs/*,kling_once/hosting/*'

# A minute of fuzzing for each of: Kling's answers, media files, callback bodies, routes
fuzz:
    KLING_ONCE_FUZZ_SECONDS=60 pytest -n 0 tests/properties/test_fuzzing.py
    KLING_ONCE_HOSTILE_EXAMPLES=500 pytest -n 0 tests/properties/test_hostile_answers.py
    KLING_ONCE_SCHEMATHESIS_CASES=400 pytest -n 0 tests/web/test_openapi.py

# Change one line after the other of a module and see whether its tests notice: just mutate ledger/decision
mutate module *arguments:
    python -P -m tests.publishing.mutation {{ module }} {{ arguments }}

# Look for unsafe lines in the workflows of .github
workflows:
    zizmor --offline --no-progress .github

# Make docs/openapi.json from the routes
docs:
    python -c 'from kling_once.web.openapi import text; print(text("1"), end="")' > docs/openapi.json
    python docs/reference_pages.py

# Build the docs site into site/, strictly
site:
    zensical build --strict

# Make the list of sentences that people may be told; their Chinese words lie in locales/zh/main.json
sentences:
    python -m tests.web.sentences

# Make the ledger's first migration from its tables; after the first release migrations only add
migration:
    python -m tests.ledger.first_migration
    ruff format kling_once/ledger/migrations

# Media benchmarks against ComfyUI's own code; close everything else first
bench:
    python benchmarks/decode.py
    python benchmarks/encode.py
    python benchmarks/conform.py
    python benchmarks/prepare.py

# List what the Comfy Registry will hold
archive:
    python -P -m tests.publishing.archive

# Figures of the structure: modules, lines, importers, circles
structure:
    python benchmarks/structure.py

# Make requirements.lock anew; torch stays out, since its build depends on the machine
lock:
    echo torch | uv pip compile --quiet --universal --python-version 3.11 --all-extras --excludes /dev/stdin --upgrade \
        --no-emit-index-url --no-annotate --custom-compile-command 'just lock' --output-file requirements.lock pyproject.toml
