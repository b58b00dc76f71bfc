#!/bin/sh
# Makes sure that the page tests have a browser: Debian's Chromium, installed here when we may.
set -e
if command -v chromium >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium for the page tests."
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
else
    echo "The page tests need Chromium on the PATH. Install it: sudo apt-get install chromium" >&2
    exit 1
fi
