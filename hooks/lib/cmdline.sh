# shellcheck shell=sh
# The kernel's command line, cut into words as the kernel does it (lib/cmdline.c, next_arg):
# double quotes hold spaces together, and those around a word or a value are dropped. Nothing is
# evaluated. Words with control characters are left out.

# sr_cmdline_parse <FILE: print one word a line, NAME or NAME=VALUE.
sr_cmdline_parse() {
    awk '
        function keep(word,    at, quoted) {
            if (word ~ /[[:cntrl:]]/)
                return
            quoted = sub(/^"/, "", word)
            at = index(substr(word, 2), "=")
            if (at && substr(word, at + 2, 1) == "\"") {
                word = substr(word, 1, at + 1) substr(word, at + 3)
                quoted = 1
            }
            if (quoted)
                sub(/"$/, "", word)
            if (word == "--")
                exit
            if (word != "")
                print word
        }
        {
            quoted = 0
            word = ""
            count = length($0)
            for (i = 1; i <= count; i++) {
                char = substr($0, i, 1)
                if (char == "\"")
                    quoted = !quoted
                if (!quoted && (char == " " || char == "\t")) {
                    keep(word)
                    word = ""
                } else {
                    word = word char
                }
            }
            keep(word)
        }'
}

# sr_cmdline NAME: print the last value given to the parameter NAME, an empty line for a bare
# word; status 1 when it is absent.
sr_cmdline() {
    _cmdline_status=1
    _cmdline_value=
    while IFS= read -r _cmdline_word; do
        case $_cmdline_word in
            "$1") _cmdline_status=0 _cmdline_value= ;;
            "$1"=*) _cmdline_status=0 _cmdline_value=${_cmdline_word#*=} ;;
        esac
    done <"$SR_RUN/cmdline"
    [ "$_cmdline_status" -ne 0 ] || printf '%s\n' "$_cmdline_value"
    return "$_cmdline_status"
}

# sr_cmdline_without_disk: what led to a bootstrap on a disk (hooks/memory.sh) says nothing of the
# shared root: parameters of the same names, which the kernel or an initramfs before us obeyed.
sr_cmdline_without_disk() {
    [ -e "$SR_ROOT/etc/srbuild/disk" ] || return 0
    sed -E '/^(root|rootfstype|rootflags|rootwait|rootdelay|init|rdinit|ro|rw)(=|$)/d' \
        "$SR_RUN/cmdline" >"$SR_RUN/cmdline.new"
    mv "$SR_RUN/cmdline.new" "$SR_RUN/cmdline"
}
