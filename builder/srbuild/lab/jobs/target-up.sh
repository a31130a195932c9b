# Listen again where target-down.sh stopped.
mkdir "$(cat /run/lab.portal)"
