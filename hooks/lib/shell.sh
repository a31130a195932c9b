# shellcheck shell=sh
# What the console's shell knows besides the tools (its $ENV).
resume() {
    : >"${SR_RUN:-/run/srbuild}/resume"
    exit 0
}
alias sr-log='less "${SR_RUN:-/run/srbuild}/log"'
alias reboot='sh /usr/lib/srbuild/shutdown reboot'
alias poweroff='sh /usr/lib/srbuild/shutdown poweroff'
