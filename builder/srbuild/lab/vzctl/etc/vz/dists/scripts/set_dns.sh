#!/bin/sh
# In a container of the double of vzctl: its name servers, where the real one writes them.
{
    [ -z "$SEARCHDOMAIN" ] || echo "search $SEARCHDOMAIN"
    for server in $NAMESERVER; do
        echo "nameserver $server"
    done
} >/etc/resolv.conf
