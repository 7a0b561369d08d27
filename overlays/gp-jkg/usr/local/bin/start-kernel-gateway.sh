#!/bin/sh
# Start a kernel gateway whose kernels Gateway Provisioners start in containers. KG_ variables are the kernel gateway's,
# GP_ variables Gateway Provisioners'; arguments are the kernel gateway's own.
set -eu
. /usr/local/lib/gateway/settings.sh

export KG_IP="${KG_IP:-0.0.0.0}" KG_PORT="${KG_PORT:-8888}" KG_PORT_RETRIES="${KG_PORT_RETRIES:-0}"
export KG_LIST_KERNELS="${KG_LIST_KERNELS:-true}"
export KG_DEFAULT_KERNEL_NAME="${KG_DEFAULT_KERNEL_NAME:-$(usual python_kubernetes python_docker)}"
export GP_RESPONSE_PORT="${GP_RESPONSE_PORT:-8877}" GP_RESPONSE_ADDR_ANY="${GP_RESPONSE_ADDR_ANY:-true}"
export GP_KERNEL_LAUNCH_TIMEOUT="${GP_KERNEL_LAUNCH_TIMEOUT:-60}"

options="$(allowed "${GP_ALLOWED_KERNELS:-}" KernelSpecManager.allowed_kernelspecs)"
IFS='
'
set -f
# shellcheck disable=SC2086
exec jupyter kernelgateway \
    --log-level="${KG_LOG_LEVEL:-INFO}" \
    --KernelGatewayApp.kernel_spec_manager_class=allowed_kernelspecs.Allowed \
    --KernelSpecManager.ensure_native_kernel=False \
    $options "$@"
