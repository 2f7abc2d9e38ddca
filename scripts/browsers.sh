#!/usr/bin/env bash
# Installs the browsers that the package tests open: Debian's chromium and firefox-esr, where they are missing. Safe to run again.
# TFJS_SPARSE_CHROMIUM and TFJS_SPARSE_FIREFOX may name others.
set -euo pipefail

say() { echo "browsers: $*" >&2; }
missing=()
command -v "${TFJS_SPARSE_CHROMIUM:-chromium}" >/dev/null || missing+=(chromium)
command -v "${TFJS_SPARSE_FIREFOX:-firefox-esr}" >/dev/null || missing+=(firefox-esr)
if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    say "no ${missing[*]}, and no apt-get to install them: install a Chromium and a Firefox, and name them in TFJS_SPARSE_CHROMIUM and TFJS_SPARSE_FIREFOX"
    exit 1
  fi
  say "installing Debian's ${missing[*]}"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi
say "ready"
