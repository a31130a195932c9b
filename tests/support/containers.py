"""Doubles of LXC's programs, which do what the real ones (5.0.2) were seen to do, and a runtime
of files for the supervisor: both end as a test says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from support.shells import PROJECT, Machine

LXC = PROJECT / "modules/container/lxc"
WAIT_S = 30.0

# lxc-start -F: stays in front; its log at INFO; the hook at every end; a reboot restarts by itself,
# unless the hook kills it. The status is 0 however the container ended.
LXC_START = """
while [ "$#" -gt 0 ]; do
    case $1 in
        -o) log=$2; shift ;;
        -p) echo "$$" >"$2"; shift ;;
    esac
    shift
done
say() { echo "lxc-start ct 20261122 INFO     start - ../src/lxc/$*" >>"$log"; }
if [ -f "$ROOT/no-init" ]; then
    why='No such file or directory - Failed to exec "/no/such"'
    echo "lxc-start ct 20261122 ERROR    start - ../src/lxc/start.c:start:2194 - $why" >>"$log"
    LXC_TARGET=stop sh "$HOOK"
    exit 1
fi
# As LXC does it: an init dies with lxc-start.
setpriv --pdeathsig KILL tail -f /dev/null &
init=$!
echo "$init" >"$ROOT/ct-init"
say "start.c:post_start:2205 - Started \\"/sbin/init\\" with pid \\"$init\\""
until [ -s "$ROOT/end" ] || ! kill -0 "$init" 2>/dev/null; do
    sleep 0.05
done
end=$(cat "$ROOT/end" 2>/dev/null || echo killed)
rm -f "$ROOT/end" "$ROOT/ct-init"
kill -9 "$init" 2>/dev/null
wait "$init" 2>/dev/null
target=stop
ended() { say "error.c:lxc_error_set_and_log:$1 - Child <$init> ended on $2"; }
case $end in
    reboot) target=reboot; ended 34 "signal Hangup(1)" ;;
    poweroff) ended 34 "signal Interrupt(2)" ;;
    killed) ended 34 "signal Killed(9)" ;;
    error*) ended 31 "error (${end#error})" ;;
    exit0) ;;
esac
LXC_TARGET=$target sh "$HOOK"
[ "$target" = stop ] || echo "restarted by itself" >>"$ROOT/restarted"
exit 0
"""
LXC_INFO = """
[ -s "$ROOT/ct-init" ] || { echo STOPPED; exit 0; }
case " $* " in
    *' -s '*) echo RUNNING ;;
    *' -p '*) cat "$ROOT/ct-init" ;;
esac
"""
# What runs in the container: its poweroff, unless it is deaf.
LXC_ATTACH = """
echo 'ERROR confile - get_config_unsupported_key:170 - Unsupported config key "lxc.seccomp"' >&2
[ -f "$ROOT/deaf" ] || echo poweroff >"$ROOT/end"
"""
LXC_STOP = 'echo killed >"$ROOT/end"'

# A runtime as the supervisor knows it; `end` holds how the container is to end.
RUNTIME = """#!/bin/sh
set -eu
. "$SR_HOME/lib/base.sh"
ct=$SR_ROOT/fake-ct
mkdir -p "$ct"
echo "$*" >>"$ct/calls"
case $1 in
    start)
        [ ! -f "$ct/broken" ] || sr_fail "there is no init"
        tail -f /dev/null >/dev/null 2>&1 &
        echo "$!" >"$ct/init"
        ;;
    status)
        if [ -s "$ct/init" ] && kill -0 "$(cat "$ct/init")" 2>/dev/null; then
            echo "running $(cat "$ct/init")"
        else
            echo stopped
        fi
        ;;
    wait)
        until [ -s "$ct/end" ]; do
            sr_pause
        done
        how=$(cat "$ct/end")
        rm -f "$ct/end"
        kill -9 "$(cat "$ct/init")" 2>/dev/null || :
        rm -f "$ct/init"
        echo "$how"
        ;;
    stop)
        kill -9 "$(cat "$ct/init")" 2>/dev/null || :
        rm -f "$ct/init"
        ;;
    enter)
        shift
        echo "entered: $*"
        ;;
    clean) ;;
esac
"""


def wait_until(what: str, test: Callable[[], bool]) -> None:
    """AssertionError naming `what` unless `test()` comes true within WAIT_S seconds."""
    deadline = time.monotonic() + WAIT_S
    while not test():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def real_proc(machine: Machine) -> None:
    """Have the scripts see this machine's processes."""
    shutil.rmtree(machine.root / "proc")
    (machine.root / "proc").symlink_to("/proc")


def _has(process: Path, setting: bytes) -> bool:
    """Whether a process of /proc lives and has this in its environment."""
    try:
        return setting in (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return False


def install_lxc(machine: Machine) -> Path:
    """The module `lxc` in the machine's image, and the doubles; returns its runtime.sh."""
    folder = machine.home / "modules/lxc"
    shutil.copytree(LXC, folder)
    head = f'ROOT="{machine.root}" HOOK="{folder}/post-stop.sh"\n'
    for name, body in (
        ("lxc-start", LXC_START), ("lxc-info", LXC_INFO), ("lxc-attach", LXC_ATTACH),
        ("lxc-stop", LXC_STOP), ("lxc-console", ""),
    ):  # fmt: skip
        machine.fake(name, head + body, record=name != "lxc-info")
    # Without a namespace of its own, which apart.sh would move mounts in.
    machine.fake("unshare", 'shift 4; exec "$@"\n', record=False)
    (machine.run_dir / "lxc").mkdir(exist_ok=True)
    return folder / "runtime.sh"


class Supervised:
    """A supervisor that runs over RUNTIME; end it with `close`."""

    def __init__(self, machine: Machine, **policy: str) -> None:
        self.machine = machine
        self.ct = machine.root / "fake-ct"
        real_proc(machine)
        shutil.copy(PROJECT / "hooks/supervisor.sh", machine.home / "supervisor")
        shutil.copy(PROJECT / "hooks/srctl.sh", machine.home / "srctl")
        machine.write("usr/lib/srbuild/modules/fake/runtime.sh", RUNTIME)
        options = {
            "ON_REBOOT": "restart", "ON_HALT": "poweroff", "ON_CRASH": "restart",
            "CRASH_LIMIT": "2", "CRASH_WINDOW": "900", "CRASH_PAUSE": "1", "STOP_SECONDS": "5",
            **policy,
        }  # fmt: skip
        names = [f"SR_SUPERVISOR_{name}" for name in options]
        machine.write("usr/lib/srbuild/options", "".join(f"{n}\tword\t0\t0\t\n" for n in names))
        values = zip(names, options.values(), strict=True)
        rows = [f"{name}\tword\t0\t0\trecipe\t{value}\n" for name, value in values]
        machine.write("run/srbuild/values", "".join(rows))
        machine.write("run/srbuild/cmdline", "rd.shell=0\nrd.srb.reboot_delay=0\n")
        machine.write("usr/lib/srbuild/shutdown", f'echo "$@" >"{machine.root}/left"\n')
        machine.lib('. "$SR_LIB/ct.sh"; sr_ct_handover fake')
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the supervisor."""
        env = {
            "PATH": f"{self.machine.fakes}:/usr/sbin:/usr/bin:/sbin:/bin",
            "SR_ROOT": str(self.machine.root),
            "SR_HOME": str(self.machine.home),
        }
        command = (*self.machine.shell, str(self.machine.home / "supervisor"))
        with (self.machine.root / "console").open("ab") as console:
            return subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=console, stderr=console
            )

    def close(self) -> None:
        """End everything that was started, in whatever session it is."""
        mark = f"SR_HOME={self.machine.home}".encode()
        while found := [path for path in Path("/proc").glob("[0-9]*") if _has(path, mark)]:
            for path in found:
                with suppress(ProcessLookupError):
                    os.kill(int(path.name), signal.SIGKILL)
            self.process.wait(timeout=10)

    @property
    def said(self) -> str:
        """What it has said on the console."""
        return (self.machine.root / "console").read_text()

    @property
    def left(self) -> str:
        """What the shutdown was called with."""
        path = self.machine.root / "left"
        return path.read_text().strip() if path.exists() else ""

    def calls(self, verb: str) -> int:
        """How many times the runtime was called so."""
        path = self.ct / "calls"
        return path.read_text().splitlines().count(verb) if path.exists() else 0

    def end(self, how: str) -> None:
        """Have the container end."""
        self.machine.write("fake-ct/end.new", f"{how}\n").rename(self.ct / "end")

    def await_start(self, count: int) -> None:
        """Wait until the container was started `count` times, runs, and its end is waited for."""

        def runs() -> bool:
            starts = self.machine.run_dir / "ct/starts"
            waiter = self.machine.run_dir / "ct/waiter"
            counted = starts.exists() and starts.read_text().strip() == str(count)
            return counted and waiter.exists()

        wait_until(f"start {count}; it said:\n{self.said}", runs)

    def srctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run srctl."""
        return self.machine.run(str(self.machine.home / "srctl"), *words)
