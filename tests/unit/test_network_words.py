"""The words of a network at build time: what is taken, in which normal form, what is refused."""

from __future__ import annotations

import pytest

from srbuild.config.values import parse
from support.network_words import BAD, GOOD, NORMAL


@pytest.mark.parametrize(("kind", "word"), [(k, w) for k, words in GOOD.items() for w in words])
def test_good_words_have_a_normal_form(kind: str, word: str) -> None:
    normal = parse(kind, word)
    assert normal == NORMAL.get((kind, word), word)
    assert parse(kind, normal) == normal


@pytest.mark.parametrize(("kind", "word"), [(k, w) for k, words in BAD.items() for w in words])
def test_bad_words_are_refused_with_a_sentence(kind: str, word: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parse(kind, word)


@pytest.mark.parametrize(
    ("kind", "word", "says"),
    [
        ("bond", "bond0:eth0:mode=1,arp_interval=1,miimon=1", "exclude each other"),
        ("bond", "bond0:eth0,eth1:primary=eth2", "primary=eth2"),
        ("ipform", "rarp", "use dhcp"),
        ("vlan", "storage:eth0", "VLAN's number"),
        ("nic", "52:54:00:00:00:01", "with dashes"),
        ("route", "10.1.0.0/16", "neither a gateway nor an interface"),
    ],
)
def test_the_sentence_says_what_is_wrong(kind: str, word: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(kind, word)
