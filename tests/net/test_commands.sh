#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The commands as a user meets them: what they print, how they fail (one clear line, a non-zero
# exit), and a daemon that starts, answers `status` and stops. How the daemon itself fails to start
# is in test_daemon.py.
set -u

tcpwitness=${TCPWITNESS:-.output/tcpwitness}
space=tcpw-commands
work=$(mktemp -d)
daemon=
chmod 0755 "$work"

if [ "$(id -u)" -ne 0 ]; then
	echo "needs root"
	exit 77
fi

cleanup() {
	[ -z "$daemon" ] || kill -KILL "$daemon" 2>/dev/null
	ip netns del $space 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
ip netns del $space 2>/dev/null
ip netns add $space
inside=(nsenter "--net=/run/netns/$space")
"${inside[@]}" ip link set lo up

failures=0
result() { # NAME STATUS
	if [ "$2" -eq 0 ]; then
		echo "ok $1"
	else
		echo "not ok $1"
		failures=1
		sed 's/^/# out: /' "$work/out"
		sed 's/^/# err: /' "$work/err"
	fi
}

# NAME CODE STDOUT-PATTERN COMMAND...: exits so, says so, and nothing on stderr
says() {
	local name=$1 code=$2 pattern=$3
	shift 3
	timeout 60 "$@" >"$work/out" 2>"$work/err"
	[ $? -eq "$code" ] && grep -qE -- "$pattern" "$work/out" && [ ! -s "$work/err" ]
	result "$name" $?
}

# NAME CODE STDERR-PATTERN COMMAND...: exits so, with exactly one line on stderr
refuses() {
	local name=$1 code=$2 pattern=$3
	shift 3
	timeout 60 "$@" >"$work/out" 2>"$work/err"
	[ $? -eq "$code" ] && [ "$(wc -l <"$work/err")" -eq 1 ] &&
		grep -qE -- "^tcpwitness: $pattern" "$work/err"
	result "$name" $?
}

run_refuses() { # NAME CODE PATTERN FLAGS...
	local name=$1 code=$2 pattern=$3
	shift 3
	refuses "$name" "$code" "$pattern" "${inside[@]}" "$tcpwitness" run --log.level=error \
		--api.socket="$work/api.sock" --duration=5 "$@"
}

says no_command_lists_them 2 '^  run +watch' "$tcpwitness"
says help 0 '^  replay +run a raw' "$tcpwitness" help
says help_flag 0 '^  replay +run a raw' "$tcpwitness" --help
says help_of_run 0 '--flows.max=N .*connections' "$tcpwitness" help run
says help_of_explain 0 '^usage: tcpwitness explain' "$tcpwitness" help explain
says help_of_divergences 0 '^  --follow' "$tcpwitness" help divergences
says help_of_status 0 '^usage: tcpwitness status' "$tcpwitness" status --help
says version 0 '^tcpwitness, version .+ \(revision: [0-9a-f]{40}|unknown\)' "$tcpwitness" version
says version_flag 0 '^tcpwitness, version ' "$tcpwitness" --version
refuses unknown_command 2 "no command 'nope'" "$tcpwitness" nope
refuses help_of_unknown_command 2 "no command 'nope'" "$tcpwitness" help nope

run_refuses bad_number 2 "--flows.max: 'abc' is not a number between 1024 and 2\^26" --flows.max=abc
run_refuses unknown_flag 2 '--frobnicate: no such flag' --frobnicate
run_refuses missing_value 2 '--record: a value is missing' --record
run_refuses operand 2 "'lo': only flags" lo
run_refuses events_file 1 '.*/nonexistent/events.*No such file' --events.file=/nonexistent/events
run_refuses record_file 1 '.*/nonexistent/log.*No such file' --record=/nonexistent/log

refuses status_without_daemon 1 'no daemon answers at .*/none.sock' \
	"$tcpwitness" status --api.socket="$work/none.sock"
refuses status_bad_flag 2 '--frob: no such flag' "$tcpwitness" status --frob
refuses divergences_without_daemon 1 'no daemon answers at .*/none.sock' \
	"$tcpwitness" divergences --api.socket="$work/none.sock"
refuses follow_without_daemon 1 'no daemon answers at .*/none.sock' \
	"$tcpwitness" divergences --follow --api.socket="$work/none.sock"
refuses divergences_bad_kind 2 "--kind: 'frob' is none" "$tcpwitness" divergences --kind=frob
refuses divergences_bad_class 2 "--class: 'frob' is not problem" "$tcpwitness" divergences --class=frob
refuses divergences_operand 2 'usage: tcpwitness divergences' "$tcpwitness" divergences now
refuses listeners_without_daemon 1 'no daemon answers at .*/none.sock' \
	"$tcpwitness" listeners --api.socket="$work/none.sock"
refuses listeners_bad_sort 2 "--sort: 'frob' is none" "$tcpwitness" listeners --sort=frob
says help_of_listeners 0 '^  --watch' "$tcpwitness" help listeners
says divergences_kinds 0 '^  accept_queue_overflow +critical$' "$tcpwitness" divergences --kinds
refuses explain_without_daemon 1 'no daemon answers at .*/none.sock' \
	"$tcpwitness" explain --api.socket="$work/none.sock" 10.0.0.1:1
refuses explain_without_tuple 2 'usage: tcpwitness explain' "$tcpwitness" explain
refuses explain_bad_tuple 2 "'10.0.0.1' is not ADDR:PORT-ADDR:PORT" "$tcpwitness" explain 10.0.0.1
refuses explain_two_files 2 '--record or --capture, not both' \
	"$tcpwitness" explain --record=a --capture=b 10.0.0.1:1
refuses explain_no_file 1 'error: cannot open /nonexistent/log' \
	"$tcpwitness" explain --record=/nonexistent/log 10.0.0.1:1
refuses explain_no_log 1 'error: /dev/null is not a tcpwitness record log' \
	"$tcpwitness" explain --record=/dev/null 10.0.0.1:1
refuses replay_without_file 2 'usage: tcpwitness replay' "$tcpwitness" replay
refuses replay_of_nothing 1 'error: /dev/null is empty' "$tcpwitness" replay /dev/null
refuses replay_of_no_log 1 'error: cannot read /proc/version as a capture' "$tcpwitness" replay /proc/version
refuses replay_of_no_file 1 'error: cannot open /nonexistent/log' \
	"$tcpwitness" replay /nonexistent/log
says detach_nothing 0 '^0 filters removed$' "${inside[@]}" "$tcpwitness" detach
says doctor 0 '^tcpwitness can run here$' "${inside[@]}" "$tcpwitness" doctor
says fsm_table 0 'TIME_WAIT' "$tcpwitness" fsm --table
says fsm_dot 0 '^digraph' "$tcpwitness" fsm --dot

# a daemon from start to stop
"${inside[@]}" "$tcpwitness" run --device=lo --web.listen-address=127.0.0.1:0 \
	--api.socket="$work/api.sock" >"$work/daemon.out" 2>"$work/daemon.err" &
daemon=$!
for _ in $(seq 200); do
	"$tcpwitness" status --json --api.socket="$work/api.sock" 2>/dev/null |
		grep -q '"ready": *true' && break
	kill -0 $daemon 2>/dev/null || break
	sleep 0.1
done
says status 0 '^ready +true$' "$tcpwitness" status --api.socket="$work/api.sock"
says status_interfaces 0 '^ +- interface lo, hook ingress, mode tcx, netns [0-9]+$' \
	"$tcpwitness" status --api.socket="$work/api.sock"
says divergences_none 0 '^open now: 0 critical, 0 warning, 0 info; over: 0 kept' \
	"$tcpwitness" divergences --api.socket="$work/api.sock"
says listeners 0 '^listener +syn/limit' "$tcpwitness" listeners --api.socket="$work/api.sock"
says status_json 0 '"schema": ?1' "$tcpwitness" status --json --api.socket="$work/api.sock"
refuses socket_in_use 1 '.*api.sock' "${inside[@]}" "$tcpwitness" run --log.level=error --device=lo \
	--web.listen-address=127.0.0.1:0 --api.socket="$work/api.sock" --duration=5
kill -TERM $daemon
wait $daemon
code=$?
daemon=
cp "$work/daemon.out" "$work/out"
cp "$work/daemon.err" "$work/err"
[ $code -eq 0 ] && grep -q stopping "$work/daemon.err"
result stops_on_sigterm $?
[ ! -e "$work/api.sock" ]
result socket_is_gone $?

exit $failures
