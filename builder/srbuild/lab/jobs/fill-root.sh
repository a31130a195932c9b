# Fill the directory $1 with the lab's root: busybox, its links, the lab's init and agent.
cd "$1" || exit
mkdir -p bin sbin etc proc sys dev run tmp tokens seen
cp /usr/bin/busybox bin/busybox
chroot . /bin/busybox true
for applet in $(bin/busybox --list); do
    [ "$applet" = busybox ] || ln -sf busybox "bin/$applet"
done
cp /lab/root/init sbin/init
chmod 755 sbin/init
mkdir lab
cp -r /lab/jobs lab/jobs
cp /usr/lib/srbuild/modules/lab/agent.sh lab/agent.sh
printf 'ID=srbuild-lab\nNAME="srbuild lab root"\n' >etc/os-release
printf 'root:x:0:0:root:/:/bin/sh\n' >etc/passwd
