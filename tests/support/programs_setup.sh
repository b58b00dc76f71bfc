#!/bin/sh
# Makes sure that the tests have the programs that no wheel carries: a browser, a reverse proxy, a pooler, Prometheus,
# and Node. Installed from Debian's packages here when we may; what Node needs comes from npm, locked with hashes.
set -e
PATH="$PATH:/usr/sbin"
missing=""
for pair in chromium:chromium nginx:nginx-light pgbouncer:pgbouncer node:nodejs npm:npm prometheus:prometheus; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing$missing for the tests."
    apt-get update -qq >/dev/null
    # A package's own service is of no use here, and would take its port.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.tests && chmod +x /usr/sbin/policy-rc.d.tests
    [ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.tests /usr/sbin/policy-rc.d; made=1; }
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
    [ -z "${made:-}" ] || rm -f /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.tests
elif [ -n "$missing" ]; then
    echo "The tests need more on the PATH. Install it: sudo apt-get install$missing" >&2
    exit 1
fi

source="tests/support/node"
target=".venv/node-packages"
mkdir -p "$target"
cmp -s "$source/package-lock.json" "$target/installed.json" && exit 0
cp "$source/package.json" "$source/package-lock.json" "$target/"
for wait in 0 2 5 10; do
    sleep "$wait"
    if (cd "$target" && npm ci --silent --no-audit --no-fund --ignore-scripts); then
        cp "$source/package-lock.json" "$target/installed.json"
        exit 0
    fi
done
echo "npm can't bring what the tests need (see $source/package.json). Check the way to its registry." >&2
exit 1
