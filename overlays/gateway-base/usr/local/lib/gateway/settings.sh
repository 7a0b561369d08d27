# Sourced by the start scripts of gateways.

# Where allowed_kernelspecs.py lies, which keeps the list that jupyter_client only hides others by.
export PYTHONPATH=/usr/local/lib/gateway

# The kernelspecs that may be asked for, one option --$2 each: the names in $1, parted by commas, blanks or line ends,
# with or without the quotes and brackets of a JSON list. Where it names none, all that lie in this folder: not
# the one of the gateway's own Python, whose kernels would run beside the gateway, with its rights.
allowed() {
    names="$(printf '%s' "$1" | tr -s "][,\"' \t\r\n" '\n')"
    [ -n "$names" ] || names="$(ls /usr/local/share/jupyter/kernels)"
    printf '%s\n' "$names" | while IFS= read -r name; do
        [ -z "$name" ] || printf '%s\n' "--$2=$name"
    done
}

# The kernelspec for who asks for none: $1 within Kubernetes, else $2.
usual() {
    if [ -n "${KUBERNETES_SERVICE_HOST:-}" ]; then
        printf '%s\n' "$1"
    else
        printf '%s\n' "$2"
    fi
}
