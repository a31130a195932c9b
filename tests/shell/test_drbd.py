"""The DRBD scripts: what is waited for, what is refused, and what only happens when allowed."""

from __future__ import annotations

import subprocess

import pytest

from support.disks import add_disk
from support.shells import Machine

SPLIT = """\
block drbd0: self 8D3C:5EED:0:0 bits:123 flags:0
block drbd0: peer 77AA:5EED:0:0 bits:456 flags:0
block drbd0: Split-Brain detected but unresolved, dropping connection!"""
LEFT = "drbd r0: peer( Secondary -> Unknown ) conn( Connected -> TearDown ) pdsk( UpToDate )"
LOST = "drbd r0: peer( Primary -> Unknown ) conn( Connected -> NetworkFailure )"

# What it is asked, and what it was told, decides what drbdadm answers: files of the same name.
DRBDADM = r"""
cd "{root}/drbd"
case $1 in
    role | cstate | dstate | sh-ll-dev | sh-dev | sh-resources | dump)
        # The next line each time it is asked, the last one for ever.
        [ -s "$1" ] || exit 10
        head -n 1 "$1"
        [ "$(wc -l <"$1")" -le 1 ] || {{ sed 1d "$1" >"$1.new"; mv "$1.new" "$1"; }}
        ;;
    *)
        [ "$1" != primary ] || cp "{root}/sys/module/drbd/parameters/usermode_helper" "{root}/asked"
        [ ! -s "$1.says" ] || cat "$1.says" >&2
        [ ! -e "$1.fails" ] || exit 10
        ;;
esac
"""


class Mirror:
    """A machine with DRBD's driver and a drbdadm that answers as it is told to."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.fake("drbdadm", DRBDADM.format(root=machine.root))
        machine.fake("drbdsetup")
        machine.fake("dmesg", f'cat "{machine.root}/dmesg"', record=False)
        machine.write("dmesg", "")
        machine.write("dev/kmsg", "")
        machine.write("dev/drbd0", "")
        machine.write("etc/srbuild/nodes", "n1 1 -\nn2 2 -\n")
        machine.write("etc/srbuild/drbd.primaries", "two\n")
        machine.write("run/srbuild/state/NODE_NAME", "n1\n")
        machine.write("sys/module/drbd/version", "8.4.11\n")
        machine.write("sys/module/drbd/parameters/usermode_helper", "/sbin/drbdadm\n")
        add_disk(machine, "sdb", wwid="naa.5000c50000000001", serial="S")
        self.says(
            role="Unconfigured",
            cstate="StandAlone\nWFConnection\nConnected",
            dstate="UpToDate/UpToDate",
            dump="    allow-two-primaries yes;",
        )
        self.says(**{
            "sh-ll-dev": f"{machine.run_dir}/drbd/r0",
            "sh-dev": str(machine.root / "dev/drbd0"),
            "sh-resources": "r0",
        })  # fmt: skip

    def says(self, **answers: str) -> None:
        for name, text in answers.items():
            self.machine.write(f"drbd/{name}", f"{text}\n")

    def kernel(self, text: str) -> None:
        self.machine.write("dmesg", f"old drbd words\n{text}\n")

    def attach(self, **options: str) -> subprocess.CompletedProcess[str]:
        given = {
            "VERSION": "8.4", "RESOURCE": "r0", "VOLUME": "0", "DISK": "WWN=0x5000c50000000001",
            "TIMEOUT": "2", "ALONE": "0", "ALONE_AFTER": "1", "SYNC": "wait",
            "DISCARD_MY_DATA": "0",
        }  # fmt: skip
        values = {f"SR_DRBD_{name}": value for name, value in (given | options).items()}
        return self.machine.module("block/drbd", "attach.sh", **values)

    @property
    def orders(self) -> list[str]:
        """What drbdadm was told to do, without what it was asked."""
        asked = ("role", "cstate", "dstate", "sh-", "dump")
        calls = [c.removeprefix("drbdadm ") for c in self.machine.calls if c.startswith("drbdadm")]
        return [call for call in calls if not call.startswith(asked)]


@pytest.fixture
def mirror(machine: Machine) -> Mirror:
    return Mirror(machine)


UP = ["new-resource r0", "new-minor r0", "attach r0", "connect r0"]


def test_the_device_is_promoted_once_both_are_there(mirror: Mirror) -> None:
    done = mirror.attach()
    assert done.returncode == 0, done.stderr
    assert mirror.orders == [*UP, "primary r0"]
    assert mirror.machine.state("ROOT_DEVICE") == str(mirror.machine.root / "dev/drbd0")
    link = mirror.machine.run_dir / "drbd/r0"
    assert link.readlink() == mirror.machine.root / "dev/sdb"
    helper = mirror.machine.root / "sys/module/drbd/parameters/usermode_helper"
    assert helper.read_text() == "disabled"


def test_version_9_has_paths_to_its_peers(mirror: Mirror) -> None:
    mirror.machine.write("sys/module/drbd/version", "9.1.7\n")
    mirror.says(cstate="StandAlone\nConnected")
    assert mirror.attach(VERSION="9").returncode == 0
    assert mirror.orders[2:4] == ["new-peer r0", "new-path r0"]


@pytest.mark.parametrize(("driver", "wanted"), [("9.1.7", "8.4"), ("8.4.11", "9"), ("8.45", "8.4")])
def test_another_driver_than_the_configuration_is_for(
    mirror: Mirror, driver: str, wanted: str
) -> None:
    mirror.machine.write("sys/module/drbd/version", f"{driver}\n")
    assert mirror.attach(VERSION=wanted).returncode == 1
    assert f"DRBD is {driver}, the configuration is for {wanted}" in mirror.machine.note("why")
    assert mirror.orders == []


def test_a_disk_without_metadata_is_left_as_it_is(mirror: Mirror) -> None:
    mirror.says(**{"attach.says": "No valid meta data found", "attach.fails": "1"})
    assert mirror.attach().returncode == 1
    assert "no DRBD metadata" in mirror.machine.note("why")
    assert "drbdadm create-md r0" in mirror.machine.note("hint")
    assert "create-md" not in "".join(mirror.orders)


def test_another_failure_to_attach(mirror: Mirror) -> None:
    mirror.says(**{"attach.says": "open(/dev/sdb) failed: Busy", "attach.fails": "1"})
    done = mirror.attach()
    assert done.returncode == 1
    assert "Busy" in done.stderr
    assert "could not be attached" in mirror.machine.note("why")


def test_a_node_that_the_configuration_does_not_name(mirror: Mirror) -> None:
    mirror.says(**{"sh-ll-dev": ""})
    assert mirror.attach().returncode == 1
    assert "gives n1 no part in the resource r0" in mirror.machine.note("why")


@pytest.mark.parametrize(
    ("wanted", "said"), [("one", "    allow-two-primaries yes;"), ("two", "x")]
)
def test_primaries_that_do_not_suit_the_file_system(mirror: Mirror, wanted: str, said: str) -> None:
    mirror.machine.write("etc/srbuild/drbd.primaries", f"{wanted}\n")
    mirror.says(dump=said)
    assert mirror.attach().returncode == 1
    assert f"the root's file system for {wanted}" in mirror.machine.note("why")
    assert mirror.orders == []


# --- the peer ---------------------------------------------------------------------------------


def test_no_root_without_the_peer(mirror: Mirror) -> None:
    mirror.says(cstate="StandAlone\nWFConnection")
    assert mirror.attach().returncode == 1
    assert mirror.orders == UP
    assert "n2 did not come" in mirror.machine.note("why")
    assert "rd.srb.drbd.alone=1" in mirror.machine.note("hint")
    assert mirror.machine.state("ROOT_DEVICE") is None


@pytest.mark.parametrize("disk", ["UpToDate", "Consistent"])
def test_alone_when_that_is_allowed(mirror: Mirror, disk: str) -> None:
    mirror.says(cstate="StandAlone\nWFConnection", dstate=f"{disk}/DUnknown")
    done = mirror.attach(ALONE="1")
    assert done.returncode == 0, done.stderr
    assert mirror.orders == [*UP, "primary r0"]
    helper = mirror.machine.root / "asked"
    assert helper.read_text() == str(mirror.machine.run_dir / "drbd.helper")
    answer = mirror.machine.run(str(mirror.machine.run_dir / "drbd.helper"), "fence-peer", "r0")
    assert answer.returncode == 4
    assert "GOING ON WITHOUT n2" in done.stderr


@pytest.mark.parametrize("disk", ["Outdated", "Inconsistent", "Diskless"])
def test_alone_not_with_old_data(mirror: Mirror, disk: str) -> None:
    mirror.says(cstate="StandAlone\nWFConnection", dstate=f"{disk}/DUnknown")
    assert mirror.attach(ALONE="1").returncode == 1
    assert f"its disk is {disk}" in mirror.machine.note("why")
    assert mirror.orders == UP


def test_a_split_brain_names_both_sides_and_the_way_out(mirror: Mirror) -> None:
    mirror.kernel(SPLIT)
    mirror.says(cstate="StandAlone\nWFConnection\nStandAlone")
    done = mirror.attach(ALONE="1")
    assert done.returncode == 1
    why, hint = mirror.machine.note("why"), mirror.machine.note("hint")
    assert "split brain of r0" in why
    assert "492 KiB were written on n1 and 1824 KiB on n2" in why
    assert "drbdadm connect --discard-my-data r0" in hint
    assert "rd.srb.drbd.discard_my_data=1" in hint
    assert mirror.orders == UP
    assert "Split-Brain detected" in done.stderr


def test_one_side_gives_up_its_changes_when_told_so(mirror: Mirror) -> None:
    done = mirror.attach(DISCARD_MY_DATA="1")
    assert done.returncode == 0
    assert mirror.orders[3:] == ["connect --discard-my-data r0", "primary r0"]
    assert "giving up the changes that only n1 has" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("drbd r0: Authentication of peer failed", "shared_secret"),
        ("drbd r0: expected AuthChallenge packet: cram-hmac-alg", "shared_secret"),
        ("block drbd0: Unrelated data, aborting!", "never were one mirror"),
        ("drbd r0: incompatible after-sb-0pri settings", "refuse to mirror"),
    ],
)
def test_why_the_peer_refuses(mirror: Mirror, words: str, why: str) -> None:
    mirror.kernel(words)
    mirror.says(cstate="StandAlone\nStandAlone")
    done = mirror.attach()
    assert done.returncode == 1
    assert why in mirror.machine.note("why")
    assert words in done.stderr


def test_words_of_an_earlier_attempt_count_for_nothing(mirror: Mirror) -> None:
    mark = "srbuild: drbd: attaching r0"
    mirror.kernel(f"{SPLIT}\n{mark}\ndrbd r0: Authentication of peer failed")
    mirror.says(cstate="StandAlone\nStandAlone")
    assert mirror.attach().returncode == 1
    assert "shared_secret" in mirror.machine.note("why")


def test_the_majority_of_three_is_enough(mirror: Mirror) -> None:
    mirror.machine.fake(
        "drbdadm",
        DRBDADM.format(root=mirror.machine.root).replace(
            "case $1 in",
            '[ "$1" != cstate ] || { echo Connected; echo Connecting; exit; }\ncase $1 in',
        ),
    )
    mirror.machine.write("sys/module/drbd/version", "9.1.7\n")
    assert mirror.attach(VERSION="9").returncode == 0


# --- the data ---------------------------------------------------------------------------------


def test_data_that_is_newer_there_is_waited_for(mirror: Mirror) -> None:
    mirror.machine.write("proc/drbd", " 0: cs:SyncTarget\n\t[==>..] sync'ed: 43.2% (1/2)M\n")
    mirror.says(
        cstate="StandAlone\nSyncTarget",
        dstate="Inconsistent/UpToDate\nInconsistent/UpToDate\nInconsistent/UpToDate\nUpToDate/UpToDate",
    )
    done = mirror.attach()
    assert done.returncode == 0
    assert "the disk here is Inconsistent; taking what is newer from n2: 43.2%" in done.stderr
    assert mirror.orders[-1] == "primary r0"


def test_the_root_at_once_when_told_so(mirror: Mirror) -> None:
    mirror.says(cstate="StandAlone\nSyncTarget", dstate="Inconsistent/UpToDate")
    done = mirror.attach(SYNC="go-on")
    assert done.returncode == 0
    assert "sync = go-on" in done.stderr


def test_a_mirror_that_never_was_in_use(mirror: Mirror) -> None:
    mirror.says(dstate="Inconsistent/Inconsistent")
    assert mirror.attach().returncode == 1
    assert "never brought into use" in mirror.machine.note("why")
    assert "new-current-uuid --clear-bitmap r0" in mirror.machine.note("hint")
    assert mirror.orders == UP


def test_the_source_is_lost_before_the_data_is_here(mirror: Mirror) -> None:
    mirror.says(
        cstate="StandAlone\nSyncTarget\nSyncTarget\nWFConnection", dstate="Inconsistent/UpToDate"
    )
    done = mirror.attach(ALONE="1")
    assert done.returncode == 1
    assert "n2 was lost before the disk here was up to date" in done.stderr
    assert "its disk is Inconsistent" in mirror.machine.note("why")


# --- one at a time ----------------------------------------------------------------------------


@pytest.fixture
def single(mirror: Mirror) -> Mirror:
    mirror.machine.write("etc/srbuild/drbd.primaries", "one\n")
    mirror.says(dump="no two", role="Unconfigured\nSecondary/Primary\nSecondary/Primary")
    return mirror


def test_a_peer_that_has_the_root_is_not_disturbed(single: Mirror) -> None:
    single.says(role="Unconfigured\nSecondary/Primary\nSecondary/Primary\nSecondary/Secondary")
    done = single.attach()
    assert done.returncode == 0
    assert single.orders == [*UP, "primary r0"]


def test_a_peer_that_took_leave_is_succeeded(single: Mirror) -> None:
    single.kernel(LEFT)
    single.says(
        cstate="StandAlone\nConnected\nConnected\nWFConnection",
        role="Unconfigured\nSecondary/Primary\nSecondary/Unknown",
    )
    done = single.attach()
    assert done.returncode == 0, done.stderr
    assert "n2 has taken leave" in done.stderr
    assert single.orders[-1] == "primary r0"


def test_a_peer_that_goes_between_look_and_attempt(single: Mirror) -> None:
    single.kernel(LEFT)
    single.says(
        cstate="StandAlone\nConnected\nConnected\nWFConnection",
        role="Unconfigured\nSecondary/Secondary\nSecondary/Unknown",
        **{"primary.says": "Refusing to be Primary while peer is not outdated"},
    )
    # The first attempt fails, the second does not.
    body = single.machine.fakes / "drbdadm"
    once = f'[ "$1" != primary ] || [ -e "{single.machine.root}/tried" ] || '
    tried = f'{{ : >"{single.machine.root}/tried"; exit 11; }}\n'
    body.write_text(body.read_text().replace("\ncd ", f"\n{once}{tried}cd ", 1))
    done = single.attach()
    assert done.returncode == 0, done.stderr
    assert single.orders[-2:] == ["primary r0", "primary r0"]
    assert "n2 has taken leave" in done.stderr


@pytest.mark.parametrize(
    ("words", "disk"), [(LOST, "UpToDate"), (LEFT, "Outdated"), ("", "UpToDate")]
)
def test_a_peer_that_was_lost_with_the_root_is_waited_for(
    single: Mirror, words: str, disk: str
) -> None:
    single.kernel(words)
    single.says(
        cstate="StandAlone\nConnected\nConnected\nWFConnection",
        dstate=f"UpToDate/UpToDate\nUpToDate/UpToDate\n{disk}/DUnknown",
    )
    assert single.attach().returncode == 1
    assert "primary" not in "".join(single.orders)
    assert "n2 did not come" in single.machine.note("why")


def test_another_failure_to_promote(mirror: Mirror) -> None:
    mirror.says(**{"primary.says": "State change failed: (-2) Need UpToDate", "primary.fails": "1"})
    done = mirror.attach()
    assert done.returncode == 1
    assert "Need UpToDate" in done.stderr


# --- all resources, and the end ---------------------------------------------------------------


def test_all_resources_are_brought_up_and_the_root_does_not_wait_for_them(mirror: Mirror) -> None:
    mirror.says(**{"sh-resources": "r0 data", "up.fails": "1", "role": "Unconfigured"})
    done = mirror.attach()
    assert done.returncode == 0
    assert "up data" in mirror.orders
    assert "data could not be brought up" in done.stderr
    assert mirror.machine.state("DRBD_RESOURCES") == "r0 data "


def test_what_is_up_is_not_brought_up_again(mirror: Mirror) -> None:
    mirror.says(role="Secondary/Secondary", cstate="Connected")
    assert mirror.attach().returncode == 0
    assert mirror.orders == ["primary r0"]


def test_every_resource_is_demoted_and_taken_down(mirror: Mirror) -> None:
    mirror.machine.write("run/srbuild/state/DRBD_RESOURCES", "r0 data \n")
    done = mirror.machine.module("block/drbd", "detach.sh")
    assert done.returncode == 0
    assert mirror.orders == ["secondary r0", "down r0", "secondary data", "down data"]
    assert "r0 is down" in done.stderr


def test_a_device_in_use_does_not_stop_the_shutdown(mirror: Mirror) -> None:
    mirror.machine.write("run/srbuild/state/DRBD_RESOURCES", "r0 data \n")
    mirror.says(**{"secondary.fails": "1", "down.fails": "1"})
    done = mirror.machine.module("block/drbd", "detach.sh")
    assert done.returncode == 0
    assert mirror.orders[-1] == "down data"
    assert "is it still in use?" in done.stderr


def test_nothing_to_take_down(mirror: Mirror) -> None:
    assert mirror.machine.module("block/drbd", "detach.sh").returncode == 0
    assert mirror.orders == []
