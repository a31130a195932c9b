#!/bin/sh
# Check that the shared root can take the machine over, and ask PID 1 to let it. What is wrong
# here would be a kernel panic a moment later.
set -eu
# shellcheck source=hooks/lib/base.sh
. "${SR_HOME:=/usr/lib/srbuild}/lib/base.sh"
# shellcheck source=hooks/lib/hostfiles.sh
. "$SR_LIB/hostfiles.sh"

# Print the interpreter that the program $1 (a path on the shared root) asks for: of a script the
# one after #!, of an ELF file the loader, which stands as text in its first page.
interpreter() {
    if [ "$(head -c 2 "$SR_SYSROOT$1")" = '#!' ]; then
        head -n 1 "$SR_SYSROOT$1" | sed 's/^#! *//; s/ .*//' | sr_printable
    else
        head -c 4096 "$SR_SYSROOT$1" | tr '\0' '\n' | LC_ALL=C grep -a -m 1 -E '^/[!-~]*/ld[^/]*\.so[.0-9]*$' || :
    fi
}

grep -q " $SR_SYSROOT " "$SR_PROC/self/mountinfo" ||
    sr_fail "no root is mounted on $SR_SYSROOT" "does the image have a module for the root's file system?"

wanted=$SR_NONE_INIT
init=$(sr_resolve "$wanted") ||
    sr_fail "the shared root has no $wanted" "name its init under [container] in the cluster file, or with init="
if [ ! -f "$SR_SYSROOT$init" ] || [ ! -x "$SR_SYSROOT$init" ]; then
    sr_fail "$init on the shared root cannot be run" "it must be a program; name another one with init="
fi
loader=$(interpreter "$init")
if [ -n "$loader" ] && ! sr_resolve "$loader" >/dev/null; then
    sr_fail "$init on the shared root needs $loader, which is not there" "is the root file system complete?"
fi
for dir in dev proc sys run; do
    [ ! -L "$SR_SYSROOT/$dir" ] || sr_fail "/$dir on the shared root is a link" "it must be a directory"
    [ -d "$SR_SYSROOT/$dir" ] || mkdir "$SR_SYSROOT/$dir" ||
        sr_fail "the shared root has no directory /$dir" "make it: the kernel's file systems are mounted there"
done
sr_hostfiles_apply "$SR_SYSROOT"
sr_hostfiles_keep "$SR_ROOT/run"
printf '%s\n' "$wanted" >"$SR_RUN/handover.new"
mv "$SR_RUN/handover.new" "$SR_RUN/handover"
sr_log "$wanted will take over"
