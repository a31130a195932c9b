# On a node whose bootstrap runs a container: srctl, with up to three words.
srctl "$1" ${2:+"$2"} ${3:+"$3"}
