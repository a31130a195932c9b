# shellcheck shell=sh
# An interactive shell on the console, as the leader of a session of its own, so that job control
# and the keyboard's signals work. Its process id goes to the file $1.
echo "$$" >"$1"
exec setsid cttyhack sh -i
