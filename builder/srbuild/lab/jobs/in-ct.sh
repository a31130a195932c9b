# On a node whose bootstrap runs a container: run the job $1 in the container, with up to two words.
srctl enter /bin/sh -eu "/lab/jobs/$1.sh" ${2:+"$2"} ${3:+"$3"}
