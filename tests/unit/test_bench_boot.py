"""The hand-made init beside which boots are timed: what it carries, and what is read of it."""

from __future__ import annotations

import pytest

from bench.boot import BYHAND, ISCSI, OURS, Boot, read_by_hand, render
from bench.byhand import ADDRESS, INIT
from srbuild.errors import SrbuildError

CONSOLE = """\
bench: init at 2.10, root mounted at 5.60
[    0.500000] Trying to unpack rootfs image as initramfs...
[    0.812000] Freeing initrd memory: 6000K
/dev/sda /sysroot ext4 rw 0 0
bench: done
"""


def test_what_the_hand_made_init_says() -> None:
    assert read_by_hand(CONSOLE) == Boot(2.1, 0.31, 3.5, {})


@pytest.mark.parametrize("text", ["", CONSOLE.replace("bench: done", ""), CONSOLE[41:]])
def test_a_root_that_was_not_mounted_is_no_measurement(text: str) -> None:
    with pytest.raises(SrbuildError, match="did not mount its root"):
        read_by_hand(text)


def test_the_bar_is_of_rounds_that_were_taken_in_turn() -> None:
    ours = [Boot(5.0, 2.0, 4.0, {"mount": 1.0}), Boot(5.0, 2.0, 9.0, {"mount": 2.0})]
    hand = [Boot(3.0, 0.3, 4.0, {}), Boot(3.0, 0.3, 3.0, {})]
    text = render("iscsi", {OURS: ours, BYHAND: hand})
    assert "2.00 (1.50-2.50)  NOT MET" in text
    text = render("iscsi", {OURS: ours[:1], BYHAND: hand[:1]})
    assert "1.00 (1.00-1.00)  met" in text


def test_the_init_is_whole() -> None:
    text = INIT.format(insmods="insmod /kmods/a.ko", address=ADDRESS, mount=ISCSI.mount)
    assert text.index("insmod /kmods/a.ko") < text.index(ADDRESS) < text.index("iscsistart")
    assert text.index("mount -t ext4") < text.index("read -r end")
