# Sourced by the scripts of the demo: its users, their keys and homes. jovyan runs the gateway, the others run kernels.
DEMO_USERS="jovyan elyra bob alice"

# A key of jovyan's own, with which every user's account is entered from this machine; one that is there stays.
make_keys() {
    home="$(getent passwd jovyan | cut -d: -f6)"
    install -d -m 0700 -o jovyan -g users "$home/.ssh"
    [ -f "$home/.ssh/id_ed25519" ] || runuser -u jovyan -- ssh-keygen -q -t ed25519 -N "" -f "$home/.ssh/id_ed25519"
    for user in root $DEMO_USERS; do
        place="$(getent passwd "$user" | cut -d: -f6)/.ssh"
        install -d -m 0700 -o "$user" -g "$(id -gn "$user")" "$place"
        install -m 0600 -o "$user" -g "$(id -gn "$user")" "$home/.ssh/id_ed25519.pub" "$place/authorized_keys"
    done
    # root's own daemons are started through ssh as well.
    install -m 0600 "$home/.ssh/id_ed25519" /root/.ssh/id_ed25519
    printf 'StrictHostKeyChecking accept-new\n' >/root/.ssh/config
}

# Each user's folder in HDFS, which Spark stages its files in.
make_homes() {
    "$HADOOP_HOME/bin/hdfs" dfsadmin -safemode wait
    for user in $DEMO_USERS; do
        "$HADOOP_HOME/bin/hdfs" dfs -mkdir -p "/user/$user"
        "$HADOOP_HOME/bin/hdfs" dfs -chown "$user" "/user/$user"
    done
    "$HADOOP_HOME/bin/hdfs" dfs -mkdir -p /tmp
    "$HADOOP_HOME/bin/hdfs" dfs -chmod 1777 /tmp
}
