#!/usr/bin/env bash
# The Python environment of the web image, in the folder where pyproject.toml lies: what pages and the
# steward need, no engine, no compiler. The Dockerfile runs it, and so do the tests.
set -euo pipefail

command -v uv >/dev/null || pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
uv sync --no-default-groups
"${UV_PROJECT_ENVIRONMENT:-.venv}/bin/python" -c "import daphne, django, psycopg"
