#!/bin/sh
# Start the demo: Hadoop, then Enterprise Gateway as jovyan, with YARN as it stands in this container.
set -eu
export EG_YARN_ENDPOINT="${EG_YARN_ENDPOINT:-http://localhost:8088/ws/v1/cluster}"
export EG_REMOTE_HOSTS="${EG_REMOTE_HOSTS:-localhost}" EG_SSH_PORT="${EG_SSH_PORT:-22}"
exec /usr/local/bin/start-hadoop.sh \
    runuser -u jovyan --preserve-environment -- env HOME=/home/jovyan /usr/local/bin/start-enterprise-gateway.sh "$@"
