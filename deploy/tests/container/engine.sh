# An engine for images: docker where one answers, else podman from Debian's packages. To be sourced.
# `engine …` runs either; `standin` makes a base image where no registry can be reached.

packages=(podman buildah runc iptables netavark aardvark-dns debootstrap docker-compose)

# Debian's packages, those that are not there yet; a line on why not, and no success, elsewhere.
install_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 -qq update \
    && apt-get -o DPkg::Lock::Timeout=300 -qq --no-install-recommends -y install "${missing[@]}" >/dev/null
}

engine() { "${engine_command[@]}" "$@"; }

choose_engine() {
  if docker info >/dev/null 2>&1; then
    engine_is=docker
    engine_command=(docker)
    build() { docker build --network host "$@"; }
    return
  fi
  engine_is=podman
  # No systemd to make cgroups, and a machine that may not raise limits. crun refuses cgroups v1.
  cat > "$scratch/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
CONF
  export CONTAINERS_CONF="$scratch/containers.conf"
  # A storage of its own: whatever else podman holds on this machine is left alone.
  engine_command=(podman --root "$scratch/storage" --runroot "$scratch/run" --log-level fatal)
  build() { engine build --pull=never --network host --isolation chroot --format docker "$@"; }
}

# A stand-in for python:3.11-slim-bookworm, from Debian's own packages: Debian 12 has Python 3.11.
# It gets what this machine needs to reach its package index, which must not stand in a Dockerfile.
standin() {
  local rootfs="$scratch/rootfs" mirror python
  mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | sort -u | head -1)"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip \
    bookworm "$rootfs" "$mirror" >"$scratch/debootstrap.log" 2>&1
  rm -rf "$rootfs"/var/{cache/apt,lib/apt/lists,log}/* "$rootfs"/usr/share/{doc,man,info,locale}/*
  python="$rootfs/usr/local/bin/python"
  ln -s /usr/bin/python3 "$python"
  cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$rootfs/etc/ssl/certs/ca-certificates.crt"
  {
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    index="$(python3 -m pip config get global.index-url 2>/dev/null)" && echo "index-url = $index"
  } > "$rootfs/etc/pip.conf" || true
  tar -C "$rootfs" -c . | engine import - "$1" >/dev/null 2>&1
  rm -rf "$rootfs"
}
