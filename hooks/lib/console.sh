# shellcheck shell=sh
# An interactive shell on the console, as the leader of a session of its own, so that job control
# and the keyboard's signals work.
exec setsid cttyhack sh -i
