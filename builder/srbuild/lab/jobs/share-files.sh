# Put files that nodes would fight over on the root that is served at $1: what all would share.
cd "$1" || exit
mkdir -p var/log
for file in etc/hostname etc/machine-id etc/adjtime var/log/messages; do
    echo shared >"$file"
done
# A link that leads to what a node has bound, and one to this boot's own state.
mkdir -p .srbuild/local
ln -s ../.srbuild/local/etc/resolv.conf etc/resolv.conf
ln -s ../run var/run
sync
