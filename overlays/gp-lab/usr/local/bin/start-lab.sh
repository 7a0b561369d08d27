#!/bin/sh
# Start a JupyterLab whose kernels Gateway Provisioners start in containers. Its token is $JUPYTER_TOKEN, or one that it
# makes up and prints; arguments are JupyterLab's own.
set -eu
. /usr/local/lib/gateway/settings.sh

export GP_RESPONSE_PORT="${GP_RESPONSE_PORT:-8877}" GP_RESPONSE_ADDR_ANY="${GP_RESPONSE_ADDR_ANY:-true}"
export GP_KERNEL_LAUNCH_TIMEOUT="${GP_KERNEL_LAUNCH_TIMEOUT:-60}"

options="$(allowed "${GP_ALLOWED_KERNELS:-}" KernelSpecManager.allowed_kernelspecs)"
IFS='
'
set -f
# shellcheck disable=SC2086
exec jupyter lab \
    --no-browser \
    --ServerApp.ip="${JUPYTER_IP:-0.0.0.0}" \
    --ServerApp.port="${JUPYTER_PORT:-8888}" \
    --ServerApp.port_retries=0 \
    --MultiKernelManager.default_kernel_name="${GP_DEFAULT_KERNEL_NAME:-$(usual python_kubernetes python_docker)}" \
    --ServerApp.kernel_spec_manager_class=allowed_kernelspecs.Allowed \
    --KernelSpecManager.ensure_native_kernel=False \
    $options "$@"
