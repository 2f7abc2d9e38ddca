#!/usr/bin/env bash
# Prepares what `npm run build:wasm` needs, on a machine that may have none of it. Safe to run again: each step looks first.
#
# With rustup and the internet the wasm target comes from rustup. Without it (a Debian machine that reaches only package
# registries) rustc, cargo and the sources of std come from Debian, and std for wasm32 is compiled once into Debian's sysroot.
# TFJS_SPARSE_DEBIAN_RUST=1 asks for the second way, here and of build-wasm.mjs.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "toolchain: $*" >&2; }
sysroot_has_wasm() { [ -n "$(ls "$("$1" --print sysroot)"/lib/rustlib/wasm32-unknown-unknown/lib/libcore-*.rlib 2>/dev/null)" ]; }

# The version in Cargo.lock decides: the command line and the crate must be the same release.
bindgen_version=$(grep -A1 '^name = "wasm-bindgen"$' Cargo.lock | sed -n 's/^version = "\(.*\)"/\1/p')

if [ -z "${TFJS_SPARSE_DEBIAN_RUST:-}" ] && command -v rustc >/dev/null && sysroot_has_wasm rustc; then
  say "rustc has the wasm32 target"
elif [ -x /usr/bin/rustc ] && sysroot_has_wasm /usr/bin/rustc; then
  say "Debian's rustc has the wasm32 target"
elif [ -z "${TFJS_SPARSE_DEBIAN_RUST:-}" ] && command -v rustup >/dev/null && timeout 60 rustup target add wasm32-unknown-unknown 2>/dev/null; then
  say "rustup added the wasm32 target"
else
  say "installing Debian's rustc, cargo, lld and the sources of std"
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -qq -y --no-install-recommends rustc-web cargo-web rust-web-src rust-web-llvm lld-22 >/dev/null
  say "compiling std for wasm32 (about 40 s)"
  work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/src" "$work/.cargo"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n' > "$work/Cargo.toml"
  : > "$work/src/lib.rs"
  printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "/usr/lib/rustlib/src/rust/library/vendor"\n' > "$work/.cargo/config.toml"
  # Without embed-bitcode, `lto = true` in our profile fails with "Can't find section .llvmbc".
  (cd "$work" && RUSTFLAGS="-C embed-bitcode=yes" RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
    /usr/bin/cargo build -q --release --offline -Z build-std=std,panic_abort,panic_unwind,test --target wasm32-unknown-unknown)
  lib=$(/usr/bin/rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib
  $sudo mkdir -p "$lib"
  find "$work/target/wasm32-unknown-unknown/release/deps" -name '*.rlib' ! -name 'libempty-*' -exec $sudo cp {} "$lib/" \;
fi

if ! command -v wasm-pack >/dev/null; then
  say "installing wasm-pack (about 90 s)"
  cargo install -q wasm-pack
fi
if [ "$(wasm-bindgen --version 2>/dev/null)" != "wasm-bindgen $bindgen_version" ]; then
  say "installing wasm-bindgen $bindgen_version (about 80 s)"
  # --locked fails for a release whose lock file is newer than the registry's mirror.
  cargo install -q wasm-bindgen-cli --version "$bindgen_version" --no-default-features
fi
if ! command -v cargo-nextest >/dev/null; then
  say "installing cargo-nextest"
  cargo install -q cargo-nextest --locked
fi
say "ready"
