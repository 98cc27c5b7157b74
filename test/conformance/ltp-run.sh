#!/bin/sh
# Runs tests of the Linux Test Project one after the other: ltp-run.sh TESTS OUT SECONDS, with LTPROOT in the
# environment, and in TMPDIR where they are to work. TESTS has LTP's runtest format (a name and a command a line). Writes a
# line `name<TAB>exit status<TAB>ms` for each to OUT/results.tsv, and what it printed to OUT/NAME.log. Runs inside the
# sandbox and outside alike.
tests=$1
out=$2
seconds=$3
export PATH="$LTPROOT/testcases/bin:$PATH" KCONFIG_SKIP_CHECK=1 LTP_SINGLE_FS_TYPE=tmpfs LTP_COLORIZE_OUTPUT=n
# There are no filesystems on devices in a sandbox: tests that take any one take tmpfs, outside too. Tests that race for a
# given time (150 s and more) do so for a part of it that is within the timeout.
export LTP_DEV_FS_TYPE=tmpfs LTP_RUNTIME_MUL=0.08 "TMPDIR=${TMPDIR:-/tmp}"
: >"$out/results.tsv"
while read -r name command; do
  before=$(date +%s%N)
  timeout -k 2 "$seconds" sh -c "$command" >"$out/$name.log" 2>&1 </dev/null
  status=$?
  printf '%s\t%s\t%s\n' "$name" "$status" $((($(date +%s%N) - before) / 1000000)) >>"$out/results.tsv"
done <"$tests"
