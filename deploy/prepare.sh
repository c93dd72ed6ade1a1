#!/bin/sh
# Makes what docker-compose.yml needs once: passwords and keys in secrets/, and streams.yaml. What is there is kept.
#
# Users in containers read the files of secrets as they are, so these are readable, in a directory that only you enter.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets

random() {
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n'
}

keep() { # keep NAME VALUE: a secret, unless there is one
  [ -s "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"
  chmod 644 "secrets/$1"
}

keep postgres_superuser "$(random)"
keep postgres_owner "postgresql://podium_owner:$(random)@postgres:5432/podium?sslmode=disable"
keep postgres "postgresql://podium_writer:$(random)@postgres:5432/podium?sslmode=disable"
keep postgres_read "postgresql://podium_reader:$(random)@postgres:5432/podium?sslmode=disable"
keep secret "$(random)"
keep grafana_admin "$(random)"
[ -e streams.yaml ] || cp streams.example.yaml streams.yaml

echo "secrets/ and streams.yaml are ready; Grafana's password for admin is in secrets/grafana_admin"
