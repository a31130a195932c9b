# In a container with OpenSSH: log in at $1 as root; say what is there.
ssh -n -o StrictHostKeyChecking=no -o UserKnownHostsFile=/run/lab.hosts -o BatchMode=yes -o ConnectTimeout=60 \
    "root@$1" 'echo "name $(hostname)"; echo "id $(cat /etc/machine-id)"; loginctl --no-legend list-sessions | sed "s/^/session /"'
