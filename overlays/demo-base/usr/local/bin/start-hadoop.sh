#!/bin/bash
# Start, in one container: sshd, HDFS and YARN, each as root, whose daemons they are; then the command that is given.
# Keys are made at the first start, never in the image: whoever has the image would have them too.
set -eu
. /usr/local/lib/demo/users.sh

make_keys
# Host keys are made when the first client comes; no password opens an account.
mkdir -p /etc/dropbear
dropbear -R -s

export HDFS_NAMENODE_USER=root HDFS_DATANODE_USER=root HDFS_SECONDARYNAMENODE_USER=root
export YARN_RESOURCEMANAGER_USER=root YARN_NODEMANAGER_USER=root
[ -d /data/hdfs/name/current ] || "$HADOOP_HOME/bin/hdfs" namenode -format -nonInteractive
"$HADOOP_HOME/sbin/start-dfs.sh"
"$HADOOP_HOME/sbin/start-yarn.sh"
make_homes

[ $# -gt 0 ] || set -- sleep infinity
exec "$@"
