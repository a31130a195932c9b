#!/bin/sh
# In a container of the double of vzctl: its name, where the real one writes it on the root.
hostname "$HOSTNM"
{
    echo '# Auto-generated hostname. Please do not remove this comment.'
    echo "127.0.0.1 $HOSTNM localhost.localdomain localhost"
    echo '::1 localhost'
} >/etc/hosts
mkdir -p /etc/sysconfig
printf 'NETWORKING="yes"\nHOSTNAME="%s"\n' "$HOSTNM" >/etc/sysconfig/network
