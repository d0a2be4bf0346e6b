#!/usr/bin/env bash
# Installs the third-party engines that tests measure, below target/engines: llama.cpp's own HTTP server, as PyPI's
# prebuilt wheel xllamacpp links it in (34 MB, no compiler needed). Always ends with 0: where it cannot be installed, the
# reason is left in target/engines/llamacpp.missing, and the tests that need it are reported as ignored.
set -uo pipefail
cd "$(dirname "$0")/../.."
home=target/engines/llamacpp
missing=target/engines/llamacpp.missing
package=xllamacpp==2026.10.11549
mkdir -p target/engines
rm -f "$missing"

if "$home/bin/python" -c 'import xllamacpp' 2>/dev/null; then
  exit 0
fi
{
  rm -rf "$home"
  log=$(
    {
      timeout 60 python3 -m venv "$home" &&
        timeout 150 "$home/bin/pip" install --quiet --disable-pip-version-check --timeout 15 --retries 1 \
          --only-binary :all: "$package" && "$home/bin/python" -c 'import xllamacpp'
    } 2>&1
  )
} || {
  rm -rf "$home"
  printf '%s\n' "$package cannot be installed: $(printf '%s' "$log" | grep -v '^$' | tail -n 1 | cut -c1-200)" >"$missing"
  cat "$missing" >&2
}
exit 0
