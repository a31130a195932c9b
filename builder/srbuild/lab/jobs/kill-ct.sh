# On a node whose bootstrap runs a container: kill the container's init as nobody should.
init=$(sed -n 's/.*"init": \([0-9]*\).*/\1/p' <<END
$(srctl status --json)
END
)
kill -KILL "$init"
