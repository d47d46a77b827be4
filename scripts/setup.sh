#!/usr/bin/env bash
# Create the environment, or bring it up to date, from the lock that fits this machine.
# Called by `make setup`.
set -euo pipefail
# the environment that is about to be made must not be asked for its own Python
PATH=${PATH#"$PWD/$VENV/bin:"}

"$PYTHON" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || {
  echo "setup: $("$PYTHON" --version) found, 3.11 to 3.13 needed. Say PYTHON=python3.12 make setup" >&2
  exit 2
}

install() { # lock
  "$VENV/bin/python" -m pip install -qq --disable-pip-version-check --require-hashes \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r "requirements/lock-$1.txt"
}

choose_lock() {
  if [ "$TORCH" != auto ]; then
    echo "$TORCH"
  elif [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    echo cuda # the registry's own build, which is the CPU one on macOS
  elif "$VENV/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    echo cuda # the CPU lock has no hash of torch for this Python
  elif "$VENV/bin/python" -m pip download -qq --disable-pip-version-check --no-deps \
    --dest "$VENV/wheels" ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    "$(grep -o '^torch==[^ ]*' requirements/lock-cpu.txt)" 2>/dev/null; then
    echo cpu
  else
    echo cuda
  fi
}

"$PYTHON" -m venv "$VENV"
lock=$(choose_lock)
rm -rf "$VENV/wheels" "$VENV/torch.txt" "$VENV/torch.log"
if [ "$lock" = cuda ] && [ "$TORCH" = auto ]; then
  echo "setup: no CPU build of torch for this Python, so the larger one of the registry is taken (TORCH_INDEX= adds an index, PYTHON=python3.12 has one)"
fi
echo "setup: installing requirements/lock-$lock.txt with hashes into $VENV (minutes)"
install "$lock"
"$VENV/bin/python" -m pip install -qq --disable-pip-version-check --no-deps \
  --no-build-isolation --editable .
"$VENV/bin/python" -m pip check >/dev/null
echo "setup: done"
