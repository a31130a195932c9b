# Have no AoE target answer any more.
sh -eu /usr/lib/srbuild/modules/aoe-target/stop.sh
