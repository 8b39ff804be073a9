#!/usr/bin/env bash
# Makes the secrets that compose.yaml mounts, each in a file of its own below secrets/. What is there already stays.
#
#   docker/secrets.sh                        the site's key, the passwords of PostgreSQL and Redis
#   docker/secrets.sh --tls chat.office.lan  and a certificate for that name (or address), signed by itself
set -euo pipefail
cd "$(dirname "$0")/.."

umask 077
mkdir -p secrets
# The containers' users are nobody on this machine, so they must be able to read the files; everybody else is
# kept out by the folder.
chmod 700 secrets

random() {
    # Only letters and digits: it stands in addresses.
    head -c 240 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | head -c 43
}

keep() {
    if [ ! -e "secrets/$1" ]; then
        printf '%s' "$2" >"secrets/$1"
        echo "made secrets/$1"
    fi
    chmod 444 "secrets/$1"
}

keep secret_key "$(random)"
keep postgres_password "$(random)"
keep redis_password "$(random)"
keep database_url "postgres://chatsite:$(<secrets/postgres_password)@postgres:5432/chatsite"
keep redis_url "redis://:$(<secrets/redis_password)@redis:6379/0"
# In the form in which the server reads it.
keep redis_auth "requirepass $(<secrets/redis_password)"

if [ "${1:-}" = --tls ] && [ ! -e secrets/tls.crt ]; then
    name=${2:?for which name or address? for example chat.office.lan}
    [[ $name =~ ^[0-9.]+$ ]] && kind=IP || kind=DNS
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 820 -subj "/CN=$name" \
        -addext "subjectAltName=$kind:$name" -keyout secrets/tls.key -out secrets/tls.crt 2>/dev/null
    echo "made secrets/tls.crt and secrets/tls.key for $name"
fi
# A pair of your own comes readable by its owner only; the proxy is somebody else.
for file in secrets/tls.crt secrets/tls.key; do
    if [ -e "$file" ]; then chmod 444 "$file"; fi
done
