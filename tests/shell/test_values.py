"""Options' values at boot: what wins over what, and what never gets through."""

from __future__ import annotations

import subprocess

import pytest

from support.shells import Machine

OPTIONS = """\
SR_NETWORK_MTU\tint\t0\t0\tmtu
SR_NETWORK_NAMESERVER\tip\t1\t0\tnameserver
SR_ISCSI_PORTAL\tendpoint\t1\t0\trd.srb.iscsi.portal
SR_ISCSI_CHAP_SECRET\tstring\t0\t1\t
SR_ISCSI_LUN\tint\t0\t0\tlun,rd.lun
SR_COROSYNC_WAIT_FOR_ALL\tbool\t0\t0\twait
"""


def load(
    machine: Machine, module: str = "network", show: str = "SR_NETWORK_MTU", **files: str
) -> subprocess.CompletedProcess[str]:
    """Write the value files, load them and show a variable as `module` sees it."""
    machine.write("usr/lib/srbuild/options", OPTIONS)
    for name, text in files.items():
        place = (
            "run/srbuild/cmdline" if name == "cmdline" else f"etc/srbuild/{name.replace('_', '.')}"
        )
        machine.write(place, text)
    return machine.lib(
        f'. "$SR_LIB/values.sh"; sr_values_load; sr_values_export {module}\n'
        f'printf "<%s>" "${{{show}-unset}}"'
    )


def test_the_command_line_before_the_node_before_the_site_before_the_image(
    machine: Machine,
) -> None:
    assert load(machine).stdout == "<>"
    assert load(machine, values="SR_NETWORK_MTU=1\n").stdout == "<1>"
    assert load(machine, site_values="SR_NETWORK_MTU=2\n").stdout == "<2>"
    assert load(machine, node_values="SR_NETWORK_MTU=3\n").stdout == "<3>"
    assert load(machine, cmdline="mtu=4\nmtu=5\n").stdout == "<5>"


def test_a_list_on_the_command_line_replaces_the_one_below(machine: Machine) -> None:
    found = load(
        machine,
        show="SR_NETWORK_NAMESERVER",
        site_values="SR_NETWORK_NAMESERVER=10.0.0.1 10.0.0.2\n",
    )
    assert found.stdout == "<10.0.0.1 10.0.0.2>"
    found = load(
        machine, show="SR_NETWORK_NAMESERVER", cmdline="nameserver=::1\nnameserver=1.1.1.1\n"
    )
    assert found.stdout == "<::1 1.1.1.1>"


def test_either_name_of_a_parameter_will_do(machine: Machine) -> None:
    assert load(machine, show="SR_ISCSI_LUN", cmdline="rd.lun=7\n").stdout == "<7>"
    assert load(machine, show="SR_ISCSI_LUN", cmdline="rd.lun=7\nlun=8\n").stdout == "<8>"


@pytest.mark.parametrize(("text", "seen"), [("wait", "1"), ("wait=no", "0"), ("wait=on", "1")])
def test_a_bare_word_is_true(machine: Machine, text: str, seen: str) -> None:
    assert load(machine, show="SR_COROSYNC_WAIT_FOR_ALL", cmdline=f"{text}\n").stdout == f"<{seen}>"


@pytest.mark.parametrize("value", ["$(reboot)", "1;reboot", "1 2", "`id`", "-", "'", "1500x"])
def test_a_value_of_another_type_stops_the_boot_and_is_never_run(
    machine: Machine, value: str
) -> None:
    machine.fake("reboot")
    for source in ({"cmdline": f"mtu={value}\n"}, {"site_values": f"SR_NETWORK_MTU={value}\n"}):
        found = load(machine, **source)
        assert (found.returncode, found.stdout) == (1, "")
        assert value in machine.note("why")
        machine.write("run/srbuild/cmdline", "")
    assert machine.calls == []


def test_the_error_names_the_source(machine: Machine) -> None:
    load(machine, cmdline="mtu=big\n")
    assert "kernel parameter mtu" in machine.note("why")
    load(machine, cmdline="", site_values="SR_NETWORK_MTU=big\n")
    assert "/etc/srbuild/site.values" in machine.note("why")


def test_patterns_are_no_file_names(machine: Machine) -> None:
    found = load(machine, show="SR_ISCSI_PORTAL", cmdline="rd.srb.iscsi.portal=/*\n")
    assert found.returncode == 1
    assert "`/*`" in machine.note("why")


def test_a_secret_is_seen_by_its_own_module_alone(machine: Machine) -> None:
    secret = "SR_ISCSI_CHAP_SECRET=se cret=1\n"
    assert (
        load(machine, "iscsi", "SR_ISCSI_CHAP_SECRET", site_values=secret).stdout == "<se cret=1>"
    )
    assert load(machine, "gfs2", "SR_ISCSI_CHAP_SECRET").stdout == "<>"


def test_a_secret_that_is_wrong_is_not_shown(machine: Machine) -> None:
    found = load(machine, site_values="SR_ISCSI_CHAP_SECRET=hush\x1b\n")
    assert found.returncode == 1
    assert "hush" not in found.stderr + machine.note("why")


def test_the_command_line_sets_no_variables_but_the_options(machine: Machine) -> None:
    text = "PATH=/evil\nSR_HOME=/evil\nSR_NETWORK_MTU=9\nLD_PRELOAD=/evil\n"
    assert load(machine, cmdline=text).stdout == "<>"
    assert load(machine, cmdline=text, show="LD_PRELOAD").stdout == "<unset>"


def test_values_of_modules_that_the_image_lacks_are_left_out(machine: Machine) -> None:
    found = load(machine, show="SR_OCFS2_X", site_values="SR_OCFS2_X=1\nnonsense\n")
    assert (found.returncode, found.stdout) == (0, "<unset>")


@pytest.mark.parametrize(
    ("value", "why"),
    [("noatime,soft", "soft: it breaks"), ("vers=3", "vers: say version"), ("softly", ""),
     ("sec=krb5i", ""), ("sec=krb5", "sec=krb5: no keytab"), ("xvers=3", "")],
)  # fmt: skip
def test_words_that_an_option_does_not_take(machine: Machine, value: str, why: str) -> None:
    machine.write(
        "usr/lib/srbuild/refused",
        "SR_NFS_OPTIONS\tsoft\tit breaks\nSR_NFS_OPTIONS\tvers\tsay version\n"
        "SR_NFS_OPTIONS\tsec=krb5\tno keytab\nSR_GFS2_OPTIONS\tsoftly\tanother's\n",
    )
    machine.write("usr/lib/srbuild/options", "SR_NFS_OPTIONS\tflags\t0\t0\trootflags\n")
    machine.write("run/srbuild/cmdline", f"rootflags={value}\n")
    found = machine.lib('. "$SR_LIB/values.sh"; sr_values_load')
    assert found.returncode == int(bool(why))
    assert why in machine.note("why")
    assert not why or "kernel parameter rootflags" in machine.note("why")
