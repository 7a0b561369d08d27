#!/bin/sh
# A session of RStudio: rsession, with the container's environment added to what the server gives it.
#
# The server hands over a few variables of its own and drops the rest, so R and its terminals would see nothing of what
# the pod was given. What is there already is the server's and stays.
umask 0002

for folder in /run/s6/container_environment /run/rstudio-server/session-env; do
    for file in "$folder"/*; do
        name=${file##*/}
        case $name in '*' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac # No folder, or no name for a shell.
        eval "[ -z \"\${$name+set}\" ]" && export "$name=$(cat "$file")"
    done
done
exec /usr/lib/rstudio-server/bin/rsession "$@"
