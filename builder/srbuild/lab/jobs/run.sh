# On a node: run a command of its root, of up to three words.
"$@"
