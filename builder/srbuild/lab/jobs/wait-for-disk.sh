# In a container: begin to write to the root; say in which state the process that does is a second later.
{ echo word >/tokens/late; } </dev/null >/dev/null 2>&1 &
sleep 1
sed 's/.*) \(.\) .*/\1/' "/proc/$!/stat"
