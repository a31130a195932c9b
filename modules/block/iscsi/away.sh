#!/bin/sh
# Why no login came to its end: a server that does not know the target's name may close the
# connection without a word, which for iscsiadm is the same as no server (status 8). What the
# portals say they have tells the two apart.
set -eu

etc=$SR_ROOT/etc/iscsi
work=$SR_RUN/iscsi # what is known of the logins

# away WHAT: fail with what a person can act on.
away() {
    end_workers
    for _away_target in ${root:-$(targets)}; do
        for _away_portal in $(portals_of "$_away_target"); do
            offered "$_away_portal" || continue
            grep -Fqx -- "$_away_target" "$work/offered" || not_offered "$_away_target" "$_away_portal"
        done
    done
    sr_fail "$1 could not be reached within $SR_ISCSI_TIMEOUT s$(cat "$work/away" 2>/dev/null)"
}

# offered PORTAL: write the names of the targets that PORTAL has for this node to $work/offered;
# status 1 when it does not say. No node record is made of them.
offered() {
    "$SR_TIMEOUT" -k 5 15 iscsiadm -m discovery -t sendtargets -o nonpersistent -p "$1" \
        </dev/null >"$work/said" 2>/dev/null || return 1
    while read -r _ _offered_target; do
        ! sr_check_iqn "$_offered_target" || printf '%s\n' "$_offered_target"
    done <"$work/said" >"$work/offered"
}

# not_offered TARGET PORTAL
not_offered() {
    _not_others=$(sort -u "$work/offered" | head -n 8 | tr '\n' ' ')
    sr_fail "the portal $2 answers, but has no target $1 for this node${_not_others:+; it has: ${_not_others% }}" \
        "correct the target's name in the cluster file, or allow the initiator $(sed -n 's/^InitiatorName=//p' "$etc/initiatorname.iscsi") on the server"
}
