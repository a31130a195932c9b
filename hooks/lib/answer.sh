# shellcheck shell=sh
# Print one line of what a person types and read no further. A program of its own, so that
# timeout(1) can bound it.
IFS= read -r answer && printf '%s\n' "$answer"
