#!/usr/bin/env bash
# Build a Debian base image with Python by debootstrap. Buildah uses it by default; it needs no registry.
#   stages/base-image.sh localhost/debian-python:bookworm
set -euo pipefail

container=$(buildah from scratch)
trap 'buildah rm "$container" > /dev/null' EXIT
root=$(buildah mount "$container")
debootstrap --variant=minbase --include=ca-certificates,python3-venv bookworm "$root" > "$root.log" \
  || { tail -n 20 "$root.log" >&2; exit 1; }
# debootstrap configures only the release. Add the security updates from the same mirror.
sed -n 's|/debian bookworm main|/debian-security bookworm-security main|p' "$root/etc/apt/sources.list" > "$root/etc/apt/sources.list.d/security.list"
chroot "$root" sh -c 'apt-get update --quiet=2 && apt-get upgrade --quiet=2 --yes > /dev/null && apt-get clean'
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/log/* "$root"/usr/share/{doc,info,locale,man}/* "$root/etc/resolv.conf" "$root.log"
buildah config --env LANG=C.UTF-8 "$container"
buildah unmount "$container" > /dev/null
buildah commit --quiet "$container" "$1" > /dev/null
echo "built $1"
