# Fill the directory $1 with the root that the nodes share: the distribution's in the archive that
# the kernel parameter lab.tree= names (lab/tree.py), else the lab's own, busybox and an init. Either
# carries the lab's agent and jobs.
cd "$1" || exit
tree=$(tr ' ' '\n' </proc/cmdline | sed -n 's/^lab\.tree=//p')

own_root() {
    mkdir -p bin sbin etc proc sys dev run tmp
    cp /usr/bin/busybox bin/busybox
    chroot . /bin/busybox true
    for applet in $(bin/busybox --list); do
        [ "$applet" = busybox ] || ln -sf busybox "bin/$applet"
    done
    cp /lab/root/init sbin/init
    printf 'ID=srbuild-lab\nNAME="srbuild lab root"\n' >etc/os-release
    printf 'root:x:0:0:root:/:/bin/sh\n' >etc/passwd
}

# No name of its own, and none of the machine that it was made on; root may log in.
distribution_root() {
    tar -x -f "$tree"
    rm -f etc/hostname etc/resolv.conf
    : >etc/resolv.conf
    : >etc/machine-id
    sed -i 's/^root:[^:]*:/root::/' etc/shadow
    if [ -d etc/systemd/system ]; then
        mkdir -p etc/systemd/system/multi-user.target.wants
        cp /lab/root/lab.service etc/systemd/system/lab.service
        ln -s ../lab.service etc/systemd/system/multi-user.target.wants/lab.service
    fi
    [ ! -f etc/inittab ] || echo 'lab:2345:once:/bin/sh /lab/service >/dev/console 2>&1' >>etc/inittab
}

if [ -n "$tree" ]; then
    distribution_root
else
    own_root
fi
mkdir lab tokens seen
cp -r /lab/jobs lab/jobs
cp /lab/root/node /lab/root/service lab
cp /usr/lib/srbuild/modules/lab/agent.sh lab/agent.sh
