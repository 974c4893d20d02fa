# A Docker engine: the machine's where one answers, else one of our own from Debian's packages, which
# are only unpacked, not installed. To be sourced; wants $scratch. All containers of our own engine
# live in a network namespace of its own: no port, bridge or firewall rule of the machine is touched.

packages=(iptables iproute2 libdevmapper1.02.1 libsystemd0 libseccomp2 debootstrap docker-compose curl)
unpacked=(docker.io containerd runc)

# Debian's packages, those that are not there yet; a line on why not, and no success, elsewhere.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  # apt's own lock on its lists is not waited for, and other legs may be at it.
  flock /var/lock/deploy-tests-apt apt-get -o DPkg::Lock::Timeout=300 -qq update \
    && flock /var/lock/deploy-tests-apt \
      apt-get -o DPkg::Lock::Timeout=300 -qq --no-install-recommends -y install "${missing[@]}" >/dev/null
}

# Sets engine_is: theirs or ours. `compose` is the plugin where there is one, else Debian's 1.29.
choose_engine() {
  # No BuildKit in our engine. By the client, so that compose finds what `docker build` has built already.
  export DOCKER_BUILDKIT=0 COMPOSE_DOCKER_CLI_BUILD=1 COMPOSE_HTTP_TIMEOUT=120
  if docker info >/dev/null 2>&1; then
    engine_is=theirs
    unset DOCKER_BUILDKIT COMPOSE_DOCKER_CLI_BUILD
    return
  fi
  engine_is=ours
  engine="$scratch/engine"
  mkdir -p "$engine/packages" "$engine/config"
  export DOCKER_HOST="unix://$engine/socket" DOCKER_CONFIG="$engine/config"
  export PATH="$engine/unpacked/usr/sbin:$engine/unpacked/usr/bin:$PATH:/usr/sbin:/sbin"
  [ -x "$engine/unpacked/usr/sbin/dockerd" ] && return
  (cd "$engine/packages" && apt-get -qq -o APT::Sandbox::User=root download "${unpacked[@]}") || return 1
  local package
  for package in "$engine"/packages/*.deb; do dpkg -x "$package" "$engine/unpacked"; done
}

# A build fetches packages, by the machine's own network; there is none other then.
engine_for_builds() {
  [ "$engine_is" = theirs ] || start_engine env
}
# Docker's defaults, in a network namespace that goes away with the engine.
engine_for_runs() {
  [ "$engine_is" = theirs ] || { stop_engine && start_engine unshare --net; }
}

start_engine() { # env | unshare --net
  local deadline=$((SECONDS + 60)) options=()
  [ "$1" = unshare ] || options=(--bridge=none --iptables=false --ip6tables=false)
  setsid "$@" sh -c 'ip link set lo up && exec "$@"' _ dockerd -H "$DOCKER_HOST" -p "$engine/pid" \
    --data-root "$engine/data" --exec-root "$engine/run" "${options[@]}" >>"$engine/log" 2>&1 &
  until docker version >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || { tail -n 5 "$engine/log"; return 1; }
    sleep 0.1
  done
}
stop_engine() {
  local pid deadline=$((SECONDS + 60))
  pid="$(cat "$engine/pid" 2>/dev/null)" || return 0
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do
    [ $SECONDS -lt $deadline ] || { echo "dockerd $pid does not end"; return 1; }
    sleep 0.1
  done
  umount "$engine"/run/netns/* 2>/dev/null || true # it leaves that, and with it the namespace
}

# A command where the containers' addresses and published ports are.
beside() {
  if [ "$engine_is" = theirs ]; then "$@"; else nsenter --net="/proc/$(cat "$engine/pid")/ns/net" "$@"; fi
}

compose() {
  if docker compose version >/dev/null 2>&1; then docker compose "$@"; else docker-compose "$@"; fi
}

# Where a Python of the version that the Dockerfile names is built as the published image has it, apart
# from the system's; empty if there is none on this machine.
built_python() {
  find "${PYENV_ROOT:-$HOME/.pyenv}/versions" -maxdepth 1 -name "${base_version:?}.*" 2>/dev/null | sort -V | tail -1
}

# A stand-in for python:3.13-slim-bookworm: Debian 12 with this machine's own build of that Python below
# /usr/local, else with Debian's Python 3.11. It gets what this machine needs to reach its package index, which must not stand in a Dockerfile.
standin() { # makes $scratch/rootfs, and says on failure why
  local rootfs="$scratch/rootfs" mirror built
  built="$(built_python)"
  local packages=python3
  [ -z "$built" ] || packages=libssl3,libffi8,libsqlite3-0,libexpat1
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | sort -u | head -1)"
  debootstrap --variant=minbase --include="ca-certificates,$packages" \
    bookworm "$rootfs" "$mirror" >"$scratch/debootstrap.log" 2>&1 || return 1
  if [ -n "$built" ]; then
    (cd "$built" && tar -c --exclude=test --exclude=__pycache__ --exclude='*.a' --exclude='*.pth' --exclude=tkinter --exclude=idlelib \
      bin lib) | tar -C "$rootfs/usr/local" -x && chroot "$rootfs" ldconfig || return 1
  else
    # As the published image has them, below /usr/local. Debian's packages of them compile for ten seconds.
    python3 -m pip install --quiet --no-compile --target "$rootfs/usr/local/lib/python3.11/dist-packages" \
      pip==24.0 setuptools==65.5.1 wheel==0.45.1 >>"$scratch/debootstrap.log" 2>&1 || return 1
    ln -s /usr/bin/python3 "$rootfs/usr/local/bin/python"
  fi
  rm -rf "$rootfs"/var/{cache/apt,lib/apt/lists,log}/* "$rootfs"/usr/share/{doc,man,info,locale}/*
  cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$rootfs/etc/ssl/certs/ca-certificates.crt"
  {
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    index="$(python3 -m pip config get global.index-url 2>/dev/null)" && echo "index-url = $index"
  } > "$rootfs/etc/pip.conf" || true
}
import_standin() { # TAG
  tar -C "$scratch/rootfs" -c . | docker import - "$1" >/dev/null && rm -rf "$scratch/rootfs"
}
