#!/bin/sh
# Start Enterprise Gateway. Every EG_ variable that it knows counts; those that are not given are set here, as a gateway
# in a container needs them. Arguments are Enterprise Gateway's own.
set -eu
. /usr/local/lib/gateway/settings.sh

# Where clients come in, and where kernels report: every interface, and ports that are always the same.
export EG_IP="${EG_IP:-0.0.0.0}" EG_PORT="${EG_PORT:-8888}" EG_PORT_RETRIES="${EG_PORT_RETRIES:-0}"
export EG_RESPONSE_PORT="${EG_RESPONSE_PORT:-8877}" EG_RESPONSE_ADDR_ANY="${EG_RESPONSE_ADDR_ANY:-true}"
# A kernel's first start may have to wait for its image.
export EG_KERNEL_LAUNCH_TIMEOUT="${EG_KERNEL_LAUNCH_TIMEOUT:-60}"
# JupyterLab lists the kernels that run; without it, it sees none.
export EG_LIST_KERNELS="${EG_LIST_KERNELS:-true}"
export EG_DEFAULT_KERNEL_NAME="${EG_DEFAULT_KERNEL_NAME:-$(usual python_kubernetes python_docker)}"
# No kernel runs as root; these are Enterprise Gateway's own defaults, said once more.
export EG_PROHIBITED_UIDS="${EG_PROHIBITED_UIDS:-0}" EG_PROHIBITED_GIDS="${EG_PROHIBITED_GIDS:-0}"

# jupyter_client 6, which it needs, has the older name of that option.
options="$(allowed "${EG_ALLOWED_KERNELS-${EG_KERNEL_WHITELIST-}}" KernelSpecManager.whitelist)"
IFS='
'
# The words of $options are one a line, and no pattern may become a file's name.
set -f
# shellcheck disable=SC2086
exec jupyter enterprisegateway \
    --log-level="${EG_LOG_LEVEL:-INFO}" \
    --RemoteMappingKernelManager.cull_idle_timeout="${EG_CULL_IDLE_TIMEOUT:-43200}" \
    --RemoteMappingKernelManager.cull_interval="${EG_CULL_INTERVAL:-60}" \
    --RemoteMappingKernelManager.cull_connected="${EG_CULL_CONNECTED:-False}" \
    --EnterpriseGatewayApp.kernel_spec_manager_class=allowed_kernelspecs.Allowed \
    --KernelSpecManager.ensure_native_kernel=False \
    $options "$@"
