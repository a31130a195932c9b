# shellcheck shell=sh
# Can the shared root's init run at all? What is wrong here would be a panic, or a container that
# ends at once, a moment later.

# Print the interpreter that the program $1 (a path on the shared root) asks for: of a script the
# one after #!, of an ELF file the loader, which stands as text in its first page.
_sr_interpreter() {
    if [ "$(head -c 2 "$SR_SYSROOT$1")" = '#!' ]; then
        head -n 1 "$SR_SYSROOT$1" | sed 's/^#! *//; s/ .*//' | sr_printable
    else
        head -c 4096 "$SR_SYSROOT$1" | tr '\0' '\n' | LC_ALL=C grep -a -m 1 -E '^/[!-~]*/ld[^/]*\.so[.0-9]*$' || :
    fi
}

# sr_newroot_check INIT: set $init to where INIT leads on the root that is mounted on $SR_SYSROOT;
# fails when it cannot be run there. The directories that the kernel's file systems are mounted on
# are there afterwards.
sr_newroot_check() {
    grep -q " $SR_SYSROOT " "$SR_PROC/self/mountinfo" ||
        sr_fail "no root is mounted on $SR_SYSROOT" "does the image have a module for the root's file system?"
    init=$(sr_resolve "$1") ||
        sr_fail "the shared root has no $1" "name its init under [container] in the cluster file, or with init="
    if [ ! -f "$SR_SYSROOT$init" ] || [ ! -x "$SR_SYSROOT$init" ]; then
        sr_fail "$init on the shared root cannot be run" "it must be a program; name another one with init="
    fi
    _newroot_loader=$(_sr_interpreter "$init")
    if [ -n "$_newroot_loader" ] && ! sr_resolve "$_newroot_loader" >/dev/null; then
        sr_fail "$init on the shared root needs $_newroot_loader, which is not there" "is the root file system complete?"
    fi
    for _newroot_dir in dev proc sys run; do
        [ ! -L "$SR_SYSROOT/$_newroot_dir" ] ||
            sr_fail "/$_newroot_dir on the shared root is a link" "it must be a directory"
        sr_shared_dir "$SR_SYSROOT/$_newroot_dir" ||
            sr_fail "the shared root has no directory /$_newroot_dir" "make it: the kernel's file systems are mounted there"
    done
}
