#!/bin/bash
# start-notebook.sh [OPTION...]: JupyterLab on port 8888, in the folder where it is started, as any user of group 0.
#
#   PASSWORD                    what a login takes; not set: no login, unless JUPYTER_TOKEN or ~/.jupyter ask for one
#   JUPYTER_TOKEN               what a login takes besides
#   JUPYTER_PORT                another port
#   DOCKER_STACKS_JUPYTER_CMD   lab, notebook, nbclassic, server …
#   NOTEBOOK_ARGS               more options, as a shell would read them
#
# The names are those of docker-stacks. Started by JupyterHub, the server asks the hub who one is.
set -eu

fatal() {
    printf 'start-notebook.sh: fatal: %s\n  next: %s\n' "$1" "$2" >&2
    exit 1
}

# What users make must serve the next start, which may have another uid of group 0.
umask 0002

# OpenShift runs the image as a uid that /etc/passwd does not have. CRI-O adds a line for it, other engines do not, and
# a passwd that group 0 could write to would let a notebook make itself anybody's account. Those who only want a name
# look here first.
export HOME="${HOME:-/home/jovyan}" USER="${USER:-${NB_USER:-jovyan}}"
export LOGNAME="${LOGNAME:-$USER}"

password=${PASSWORD-}
given=${PASSWORD+yes}
unset PASSWORD # What a notebook runs has no use for it.

if [[ -n ${JUPYTERHUB_API_TOKEN:-} ]]; then
    exec jupyterhub-singleuser "$@"
fi

# Sockets and connection files hold the kernels' keys, hence a folder that nobody else can open; they do not belong
# on a volume, where they outlive the processes.
private=/tmp/jupyter-$UID
mkdir -p -m 0700 "$private"
if [[ -L $private || ! -O $private ]]; then
    fatal "$private belongs to somebody else: $(ls -ldn "$private")" "remove it, or give the container a /tmp of its own"
fi
mkdir -p -m 0700 "$private/runtime" "$private/config"
export JUPYTER_RUNTIME_DIR=$private/runtime

options=()
if [[ -n $given ]]; then
    # An empty one is a secret that went missing, and no reason to let everybody in.
    [[ -n $password ]] || fatal "PASSWORD is empty" "give it a value, or do not set it: then no login is asked for"
    # Its hash goes in by a file: command lines can be read by others. This path comes before ~/.jupyter.
    printf '%s' "$password" | (umask 0077 && python3 -c '
import json, sys
from jupyter_server.auth import passwd
json.dump({"PasswordIdentityProvider": {"hashed_password": passwd(sys.stdin.read())}}, sys.stdout)
' >"$private/config/jupyter_server_config.json") || fatal "the password cannot be kept" "see above"
    export JUPYTER_CONFIG_PATH=$private/config${JUPYTER_CONFIG_PATH:+:$JUPYTER_CONFIG_PATH}
fi
unset password given
if [[ -z ${JUPYTER_TOKEN:-} ]]; then
    options+=(--IdentityProvider.token=) # Else the server makes one up.
fi
if [[ -n ${NOTEBOOK_ARGS:-} ]]; then
    mapfile -d '' -t words < <(xargs printf '%s\0' <<<"$NOTEBOOK_ARGS")
    options+=("${words[@]}")
fi

exec jupyter "${DOCKER_STACKS_JUPYTER_CMD:-lab}" \
    --ip=0.0.0.0 \
    --port="${JUPYTER_PORT:-8888}" \
    --no-browser \
    --ServerApp.allow_remote_access=True \
    "${options[@]}" \
    "$@"
