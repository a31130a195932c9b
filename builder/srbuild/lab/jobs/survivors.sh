# On a node: say `survivor NAME ARGV0` of each process of GlusterFS, and how big its client's log is.
for process in /proc/[0-9]*; do
    name=$(cat "$process/comm" 2>/dev/null) || continue
    case $name in
        gluster*) echo "survivor $name $(tr '\0' ' ' <"$process/cmdline" | cut -d ' ' -f 1)" ;;
    esac
done
echo "log $(wc -c </proc/$(pidof glusterfs | tr ' ' '\n' | head -n 1)/root/var/log/glusterfs/root.log)"
