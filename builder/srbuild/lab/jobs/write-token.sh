# On a node: begin to leave the token $2 under the name $1 on the shared root, and end at once; see
# written.sh. It needs a lock that the peer has held, and so the cluster's recovery if that is gone.
{
    echo "$2" >"/tokens/$1.new"
    sync
    mv "/tokens/$1.new" "/tokens/$1"
    sync
    : >"/run/lab.written-$1"
} </dev/null >/dev/null 2>&1 &
