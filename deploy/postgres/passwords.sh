#!/bin/sh
# Gives the roles of roles.sql the passwords that are in the connection URLs; run once, when the database is made.
set -eu

give() { # give ROLE FILE
  url=$(cat "${SECRETS:-/run/secrets}/$2")
  password=${url#*://*:}
  password=${password%%@*}
  ROLE=$1 PASSWORD=$password psql --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --no-psqlrc --quiet \
    --set ON_ERROR_STOP=1 <<'SQL'
\getenv role ROLE
\getenv password PASSWORD
ALTER ROLE :"role" PASSWORD :'password';
SQL
}

give podium_owner postgres_owner
give podium_writer postgres
give podium_reader postgres_read
