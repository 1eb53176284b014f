#!/usr/bin/env bash
# Sets everything up (tools/setup.sh) and runs the tests; arguments go to pytest.
#
#   tools/test.sh                   # the quick tier
#   tools/test.sh --full            # everything
#   tools/test.sh tests/api -k run  # a part
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh --tests
export PATH="$PWD/.venv/bin:$PATH"
export FASTORT_CPP_TESTS=${FASTORT_CPP_TESTS:-$PWD/build-wheel/fastort_tests}

# Models that the cache lacks are exported before the tests, so that no test's time holds an export.
full=()
for argument in "$@"; do
  [ "$argument" = --full ] && full=(--full)
done
python tests/models/export.py "${full[@]}" >&2
python tests/converters/store.py "${full[@]}" >&2
exec python -m pytest "$@"
