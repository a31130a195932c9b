# Stop listening, so that initiators are refused; their sessions end.
for portal in /sys/kernel/config/target/iscsi/iqn.*/tpgt_1/np/*:*; do
    echo "$portal" >/run/lab.portal
    rmdir "$portal"
done
