"""What the words of a network may be: one table for the builder and for the boot's shell."""

from __future__ import annotations

GOOD: dict[str, list[str]] = {
    "nic": ["eth0", "enp0s31f6", "bond0.20", "52-54-00-00-00-01", "AA-bb-cc-dd-ee-0F", "a" * 15],
    "bond": [
        "bond0", "bond0:eth0", "bond0:eth0,eth1", "bond0:eth0,eth1:mode=active-backup,miimon=100",
        "bond0:52-54-00-00-00-01,52-54-00-00-00-02:mode=1", "bond0::mode=4,lacp_rate=fast",
        "bond0:eth0,eth1:mode=802.3ad,lacp_rate=1,xmit_hash_policy=layer3+4:9000",
        "b:eth0,eth1::9000", "bond0:eth0,eth1:mode=active-backup,primary=eth1",
        "bond0:a,b:mode=1,arp_interval=500,arp_ip_target=10.0.0.1;10.0.0.2,arp_validate=all",
        "bond0:eth0::",
    ],
    "vlan": ["bond0.20:bond0", "vlan20:eth0", "vlan0020:eth0", "eth0.0005:eth0", "x.4094:eth0",
             "eth0.20:52-54-00-00-00-01", "vlan4094:e"],
    "bridge": ["br0", "br0:eth0", "br0:eth0,bond0.20", "br0:52-54-00-00-00-01"],
    "route": [
        "10.1.0.0/16:10.9.0.254:eth1", "10.1.0.0/16:10.9.0.254", "10.1.0.0/16::eth1",
        "10.1.0.0/255.255.0.0:10.9.0.254", "[fd00:1::/32]:[fd00::1]:eth1", "[::/0]:[fd00::1]",
        "0.0.0.0/0:10.9.0.254", "10.1.0.0/16::52-54-00-00-00-01",
    ],
    "ifname": ["lan0:52:54:00:00:00:01", "san:AA:BB:CC:DD:EE:0F", "lan0:52-54-00-00-00-01"],
    "ipform": [
        "dhcp", "on", "any", "off", "none", "dhcp6", "auto6", "either6", "link6", "single-dhcp",
        "ibft", "eth0:dhcp", "eth0:none", "eth0:off", "eth0:auto6:9000", "eth0:link6",
        "eth0:dhcp:9000:52:54:00:00:00:01", "52-54-00-00-00-01:dhcp", ":::::eth1:dhcp",
        "10.0.0.5::10.0.0.1:255.255.255.0:n1:eth0:none", "10.0.0.5:::24::eth0:none:1400",
        "10.0.0.5:10.0.0.9:10.0.0.1:255.255.240.0::eth0:off:10.0.0.2:10.0.0.3:10.0.0.4",
        "[fd00::5]::[fd00::1]:64:n1:eth0:none:[fd00::2]", "10.0.0.5:::255.255.255.255:::",
        "10.0.0.5:::24::52-54-00-00-00-01:none", "::::n1:eth0:dhcp", "::::n1:eth0:ibft",
    ],
}  # fmt: skip
BAD: dict[str, list[str]] = {
    "nic": ["", "a" * 16, "eth 0", "../eth0", "-x", ".x", "a/b", "eth0;reboot", "52:54:00:00:00:01",
            "52-54-00-00-00-0g", "$(id)", "*"],
    "bond": [
        "", ":eth0", "bond/0:eth0", "lo:eth0,eth1", "all", "bond0:eth0,", "bond0:eth0,eth0",
        "bond0:eth0,eth1:mode=7", "bond0:eth0,eth1:mode=active_backup", "bond0:eth0:miimon",
        "bond0:eth0:miimon=-1", "bond0:eth0:miimon=0100", "bond0:eth0:speed=9",
        "bond0:eth0:mode=1,mode=1", "bond0:eth0:mode=1,", "bond0:eth0::67", "bond0:eth0::x",
        "bond0:eth0::65536", "bond0:eth0:mode=1:1500:x", "bond0:eth0:lacp_rate=fast",
        "bond0:eth0:mode=1,lacp_rate=fast", "bond0:eth0:mode=1,arp_interval=1,miimon=1",
        "bond0:eth0:mode=1,arp_interval=100",
        "bond0:eth0:mode=4,arp_interval=1,arp_ip_target=10.0.0.1",
        "bond0:eth0:arp_ip_target=10.0.0", "bond0:eth0:arp_ip_target=fd00--1",
        "bond0:eth0,eth1:primary=eth2", "bond0:eth0:mode=$(reboot)",
        "bond0:52-54-00-00-00-0g:mode=1",
        "bond0:eth0:=1", "bond0:eth0:fail_over_mac=mode=1", "bond0:eth0:mode=1 miimon=1",
    ],
    "vlan": ["", "vlan20", "vlan20:", ":eth0", "vlan0:eth0", "vlan4095:eth0", "eth0.:eth0",
             "storage:eth0", "eth0.20:eth0:x", "eth0.x:eth0", "vlan:eth0", "vlan20:vlan20",
             "vlan1e3:eth0", "vlan-5:eth0", "a/b.5:eth0"],
    "bridge": ["", ":eth0", "br0:", "br0:eth0,", "br0:br0", "br0:eth0:eth1", "br0:eth0 eth1",
               "br0:eth0,eth0", "lo:eth0", "br0:../x"],
    "route": [
        "", "10.1.0.0/16", "10.1.0.0/16:", "10.1.0.0/16::", "10.1.0.0:10.9.0.254", "x/16:10.9.0.1",
        "10.1.0.0/33:10.9.0.254", "10.1.0.0/255.0.255.0:10.9.0.254", "10.1.0.0/16:gw",
        "10.1.0.0/16:[fd00::1]", "[fd00::/8]:10.9.0.1", "fd00::/8:fd00::1",
        "10.1.0.0/16:10.9.0.1:a b",
        "10.1.0.0/16:10.9.0.254:eth1:5", "[fd00::/8]x:[fd00::1]", ":10.9.0.254:eth1",
    ],
    "ifname": ["", "lan0", "lan0:", ":52:54:00:00:00:01", "lan0:52:54:00:00:00",
               "lo:52:54:00:00:00:01",
               "lan 0:52:54:00:00:00:01", "lan0:52:54:00:00:00:01:02"],
    "ipform": [
        "rarp", "bootp", "both", "cluster", "eth0:rarp", "eth0:ibft", "eth0:single-dhcp", "dhcp4",
        "eth 0:dhcp",
        "../eth0:dhcp", "-x:dhcp", "a-name-that-is-too-long:dhcp", "10.0.0.5:::::eth0:none",
        "10.0.0.5:::255.0.255.0::eth0:none", "10.0.0.5:::33::eth0:none",
        "10.0.0.5::gw:24::eth0:none", "10.0.0.5:::24::$(id):none", "10.0.0.5:::24::eth0:static",
        "10.0.0.5:::24::eth0:none:resolver", "eth0:dhcp:x", "eth0:dhcp:67", "eth0:dhcp:1500:no-mac",
        ":::24::eth0:none", "fd00::5:::64::eth0:none", "10.0.0.5::[fd00::1]:24::eth0:none",
        "10.0.0.5:::24::eth0:none:10.0.0.1:10.0.0.2:10.0.0.3:10.0.0.4",
        "[fd00::5]x:::64::eth0:none",
        "10.0.0.5:::24::eth0:none:10.0.0.1:10.0.0.2:ntp",
    ],
}  # fmt: skip
# What the builder makes of a word, where that differs from the word.
NORMAL: dict[tuple[str, str], str] = {
    ("nic", "AA-bb-cc-dd-ee-0F"): "aa-bb-cc-dd-ee-0f",
    ("bond", "bond0"): "bond0:eth0,eth1",
    ("bond", "bond0::mode=4,lacp_rate=fast"): "bond0:eth0,eth1:mode=4,lacp_rate=fast",
    ("bond", "bond0:eth0::"): "bond0:eth0",
    ("bridge", "br0"): "br0:eth0",
    ("route", "10.1.0.0/255.255.0.0:10.9.0.254"): "10.1.0.0/16:10.9.0.254",
    ("ifname", "san:AA:BB:CC:DD:EE:0F"): "san:aa:bb:cc:dd:ee:0f",
    ("ifname", "lan0:52-54-00-00-00-01"): "lan0:52:54:00:00:00:01",
    ("ipform", "10.0.0.5::10.0.0.1:255.255.255.0:n1:eth0:none"):
        "10.0.0.5::10.0.0.1:24:n1:eth0:none",
    ("ipform", "10.0.0.5:10.0.0.9:10.0.0.1:255.255.240.0::eth0:off:10.0.0.2:10.0.0.3:10.0.0.4"):
        "10.0.0.5::10.0.0.1:20::eth0:off:10.0.0.2:10.0.0.3:10.0.0.4",
    ("ipform", "10.0.0.5:::255.255.255.255:::"): "10.0.0.5:::32:::",
}  # fmt: skip
