"""The seconds of a boot, read from its console."""

from __future__ import annotations

import pytest

from srbuild.lab.times import read_times

LINE = (
    "[  17.21] srbuild: times: root mounted after 16.51 s, 9.67 of them init: "
    "kernel 6.84 (unpacking 3.52); identity 1.45 (core/identity 1.44); "
    "storage 4.90 (iscsi/attach 4.00, multipath/join 0.80); mount 2.33 (ext4/mount 2.33)\n"
)


def test_kernel_unpacking_points_and_scripts() -> None:
    times = read_times(f"noise\r\n{LINE}lab: n1 runs on it\n")
    assert times is not None
    assert (times.kernel, times.unpacking, times.mounted, times.init) == (6.84, 3.52, 16.51, 9.67)
    assert times.points == {"identity": 1.45, "storage": 4.9, "mount": 2.33}
    assert times.scripts["storage"] == {"iscsi/attach": 4.0, "multipath/join": 0.8}
    assert times.as_json()["points"] == {
        "identity": {"seconds": 1.45, "scripts": {"core/identity": 1.44}},
        "storage": {"seconds": 4.9, "scripts": {"iscsi/attach": 4.0, "multipath/join": 0.8}},
        "mount": {"seconds": 2.33, "scripts": {"ext4/mount": 2.33}},
    }
    assert "storage 4.9" in times.text()


def test_the_last_boot_counts_and_a_script_that_ran_again_is_added_up() -> None:
    again = LINE.replace("16.51", "90.00").replace(
        "iscsi/attach 4.00, multipath/join", "a/b 1.00, a/b"
    )
    times = read_times(LINE + again)
    assert times is not None
    assert times.mounted == 90.0
    assert times.scripts["storage"] == {"a/b": 1.8}


def test_a_kernel_that_does_not_tell_and_an_image_without_a_root() -> None:
    times = read_times("srbuild: times: booted after 3.00 s, 1.00 of them init: kernel 2.00")
    assert times is not None
    assert (times.unpacking, times.mounted, times.init, dict(times.points)) == (
        None,
        None,
        None,
        {},
    )
    assert times.text().startswith("no root: kernel 2.0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root mounted after 3 s",
        LINE[:60],
        LINE.replace("kernel 6.84", "kernel -"),
        "times: " * 9,
    ],
)
def test_what_tells_no_times(text: str) -> None:
    assert read_times(text) is None
