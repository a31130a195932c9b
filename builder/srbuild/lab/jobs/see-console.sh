# On a node whose bootstrap runs a container with a console of its own: look at it with srctl console
# on a terminal that nobody sees, write there, and say what appeared.
setsid -c srctl console <>/dev/tty3 >&0 2>&1 &
console=$!
shown() {
    fold -w 80 </dev/vcs3 | grep "$1"
}
left=100
until shown 'the console is here'; do
    left=$((left - 1))
    if [ "$left" -eq 0 ]; then
        fold -w 80 </dev/vcs3
        exit 1
    fi
    srctl enter /bin/sh -c 'echo the console is here >/dev/console'
    usleep 300000
done
kill "$console" 2>/dev/null || :
