# shellcheck shell=sh
# The options' values at boot: the kernel's command line before the node's values before the
# cluster's before the image's; each checked against its type before any script sees it. OSR's
# words with com- in front come between the command line and the node's values, and behind what
# the image was built with (see lib/osr.sh).
# Only the spine reads this file.

# Print VARIABLE, TYPE, MANY, SECRET, SOURCE and VALUE of every option that has a value, with
# tabs between, from the files $SR_HOME/{options,built}, $SR_ETC/{values,site.values,node.values}
# and $SR_RUN/{cmdline.com,cmdline}.
_sr_values_merge() {
    set -- "source=options" "$SR_HOME/options"
    [ ! -f "$SR_HOME/built" ] || set -- "$@" source=built "$SR_HOME/built"
    for _merge_file in values site.values node.values; do
        [ ! -f "$SR_ETC/$_merge_file" ] || set -- "$@" "source=$_merge_file" "$SR_ETC/$_merge_file"
    done
    [ ! -s "$SR_RUN/cmdline.com" ] || set -- "$@" source=com "$SR_RUN/cmdline.com"
    LC_ALL=C awk '
        BEGIN { FS = "\t" }
        source == "options" {
            order[++options] = $1
            facts[$1] = $2 "\t" $3 "\t" $4
            many[$1] = $3
            count = split($5, names, ",")
            for (i = 1; i <= count; i++)
                takers[names[i]] = takers[names[i]] " " $1
            next
        }
        source == "built" { built[$1] = "/etc/srbuild/values"; next }
        {
            at = index($0, "=")
            name = at ? substr($0, 1, at - 1) : $0
            value = at ? substr($0, at + 1) : ""
        }
        # The word of OSR for: as the cluster file says.
        source == "cmdline" && name == "ip" && value == "cluster" { next }
        source == "cmdline" || source == "com" {
            where = "kernel parameter " (source == "com" ? "com-" : "") name
            count = split(takers[name], list, " ")
            for (i = 1; i <= count; i++) {
                taker = list[i]
                if (source == "com" && (taker in built) && origin[taker] == built[taker])
                    continue
                again = origin[taker] == where
                found[taker] = (many[taker] && again) ? found[taker] " " value : value
                if (!at && facts[taker] ~ /^bool\t/)
                    found[taker] = "1"
                origin[taker] = where
            }
            next
        }
        name in facts {
            found[name] = value
            origin[name] = "/etc/srbuild/" source
        }
        END {
            for (i = 1; i <= options; i++)
                if (order[i] in found)
                    print order[i] "\t" facts[order[i]] "\t" origin[order[i]] "\t" found[order[i]]
        }' "$@" source=cmdline "$SR_RUN/cmdline"
}

# sr_values_load: merge and check all values, keep them for sr_values_export. Fails with the
# option's source; a secret's value is not shown.
sr_values_load() {
    (
        umask 077
        _sr_values_merge >"$SR_RUN/values"
    )
    while IFS="$SR_TAB" read -r _load_name _load_type _load_many _load_secret _load_from _load_value; do
        case $_load_name in
            SR_*[!A-Z0-9_]* | [!S]*) sr_fail "no option's variable can be named $_load_name" ;;
        esac
        if [ "$_load_secret" = 1 ] && [ "${_load_from#kernel}" != "$_load_from" ]; then
            sr_fail "a secret was given as $_load_from" \
                "everybody on the machine can read the kernel's command line: use the cluster file"
        fi
        [ -n "$_load_value" ] || continue
        if [ "$_load_many" = 1 ]; then
            set -f
            for _load_item in $_load_value; do
                _sr_values_check "$_load_item"
            done
            set +f
        else
            _sr_values_check "$_load_value"
        fi
    done <"$SR_RUN/values"
}

_sr_values_check() {
    if [ "$_load_type" = flags ] && _check_why=$(sr_refused "$_load_name" "$1"); then
        sr_fail "$_load_from: $_check_why" "correct $_load_from (option ${_load_name#SR_})"
    fi
    sr_check "$_load_type" "$1" && return
    _check_shown="\`$1\`"
    [ "$_load_secret" = 0 ] || _check_shown='its value (a secret)'
    [ "$_load_secret" = 0 ] || sr_reason=
    sr_fail "$_load_from: $_check_shown is not of type $_load_type${sr_reason:+: $sr_reason}" \
        "correct $_load_from (option ${_load_name#SR_})"
}

# _sr_prefix MODULE: set $prefix to what MODULE's variables begin with. For every script twice, so
# without a process: a letter is looked up among pairs.
_sr_prefix() {
    prefix=SR_
    _prefix_rest=$1
    while [ -n "$_prefix_rest" ]; do
        _prefix_char=${_prefix_rest%"${_prefix_rest#?}"}
        _prefix_rest=${_prefix_rest#?}
        case $_prefix_char in
            [a-z-])
                _prefix_pair=aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ-_
                _prefix_pair=${_prefix_pair#*"$_prefix_char"}
                prefix=$prefix${_prefix_pair%"${_prefix_pair#?}"}
                ;;
            *) prefix=$prefix$_prefix_char ;;
        esac
    done
    prefix=${prefix}_
}

# sr_values_export MODULE: export what sr_values_load found, and of the secrets only MODULE's own.
sr_values_export() {
    _sr_prefix "$1"
    # Options without any value are there too, empty, so that `set -u` scripts can ask for them.
    while IFS="$SR_TAB" read -r _export_name _; do
        export "$_export_name="
    done <"$SR_HOME/options"
    while IFS="$SR_TAB" read -r _export_name _export_type _ _export_secret _ _export_value; do
        if [ "$_export_secret" = 1 ]; then
            case $_export_name in
                "$prefix"*) ;;
                *) continue ;;
            esac
        fi
        if [ "$_export_type" = bool ]; then
            case $_export_value in
                1 | true | yes | on) _export_value=1 ;;
                *) _export_value=0 ;;
            esac
        fi
        export "$_export_name=$_export_value"
    done <"$SR_RUN/values"
}

# sr_has_secret MODULE: does a secret of MODULE have a value (so that it must not be traced)?
sr_has_secret() {
    _sr_prefix "$1"
    while IFS="$SR_TAB" read -r _secret_name _ _ _secret_flag _ _secret_value; do
        case $_secret_flag:$_secret_value:$_secret_name in
            1:?*:"$prefix"*) return 0 ;;
        esac
    done <"$SR_RUN/values"
    return 1
}
