# Read $3 MiB of the disk $1 past the cache, and say how many bytes a packet that came in on the
# interface $2 had meanwhile, on average.
cd "/sys/class/net/$2/statistics" || exit
read -r bytes <rx_bytes
read -r packets <rx_packets
dd if="/dev/$1" of=/dev/null bs=1048576 count="$3" iflag=direct 2>/dev/null
read -r now <rx_bytes
bytes=$((now - bytes))
read -r now <rx_packets
packets=$((now - packets))
echo "bytes $bytes"
echo "packets $packets"
echo "average $((bytes / packets))"
