# Every program of Spark reads this before it starts Java.
#
# OpenShift runs the image as a uid that /etc/passwd does not know. Java has no name for it, and Hadoop's login wants
# one. It is not written to /etc/passwd, which whoever could would make himself root: nss_wrapper(1) shows Java another.
if ! getent passwd "$(id -u)" >/dev/null; then
    NSS_WRAPPER_PASSWD=$(mktemp)
    {
        cat /etc/passwd
        printf 'u%s:x:%s:%s::%s:/bin/bash\n' "$(id -u)" "$(id -u)" "$(id -g)" "$HOME"
    } >"$NSS_WRAPPER_PASSWD"
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP=/etc/group LD_PRELOAD=libnss_wrapper.so
fi
