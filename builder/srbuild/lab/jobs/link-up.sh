# Bring the card up again that link-down.sh took down.
ip link set eth0 up
