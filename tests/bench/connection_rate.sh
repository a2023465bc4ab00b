#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# How much of a saturating connect/request/close load is kept with the daemon on: rounds of off and
# on side by side over one veth pair, each "on" over the mean of the "off"s around it. One JSON line.
#
#	O=.output ROUNDS=5 CONNECTIONS=20000 MODE=client-rst tests/bench/connection_rate.sh [FLAGS OF run]
set -eu

out=${O:-.output}
rounds=${ROUNDS:-5}
connections=${CONNECTIONS:-20000}
mode=${MODE:-client-rst}
port=10293
scratch=$(mktemp -d)
watched=bench-$$-a
peer=bench-$$-b
daemon=
server=

in_watched() { nsenter --net="/run/netns/$watched" "$@"; }
in_peer() { nsenter --net="/run/netns/$peer" "$@"; }

stop() {
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

clean() {
	[ -z "$daemon" ] || stop "$daemon"
	[ -z "$server" ] || stop "$server"
	ip netns del "$watched" 2>/dev/null || true
	ip netns del "$peer" 2>/dev/null || true
	rm -rf "$scratch"
}
trap clean EXIT

ip netns add "$watched"
ip netns add "$peer"
ip link add v0 netns "$watched" type veth peer name v0 netns "$peer"
for side in "$watched 10.9.0.1" "$peer 10.9.0.2"; do
	# shellcheck disable=SC2086 # two words
	set -- $side "$@"
	name=$1 address=$2
	shift 2
	nsenter --net="/run/netns/$name" sh -c "
		sysctl -qw net.ipv4.tcp_max_tw_buckets=2000000 net.core.somaxconn=4096 \
			net.ipv4.ip_local_port_range='1024 65000'
		ip link set lo up
		ip addr add $address/24 dev v0
		ip link set v0 up"
done

# not in_watched: a function would put a shell between us and the pid
nsenter --net="/run/netns/$watched" "$out/tests/bench/connload" server --address 10.9.0.1 --ports 8000-8003 --mode "$mode" \
	--count 0 --request 100 --reply 1000 >"$scratch/server" 2>&1 &
server=$!
until [ "$(in_watched ss -Htln 'sport >= 8000 and sport <= 8003' | wc -l)" -eq 4 ]; do :; done

load() {
	in_peer "$out/tests/bench/connload" client --address 10.9.0.1 --ports 8000-8003 \
		--mode "$mode" --count "$connections" --concurrency 64 --request 100 --reply 1000 |
		sed 's/.*rate=//'
}

daemon_on() {
	nsenter --net="/run/netns/$watched" "$out/tcpwitness" run --device v0 \
		--api.socket "$scratch/api.sock" --web.listen-address "127.0.0.1:$port" \
		--log.level error "$@" &
	daemon=$!
	until in_watched curl -fs -o "$scratch/ready" "http://127.0.0.1:$port/-/ready"; do
		kill -0 "$daemon"
	done
}

# CPU of the daemon, in clock ticks, and what it lost.
daemon_cost() {
	awk '{ print $14 + $15 }' "/proc/$daemon/stat"
}
daemon_lost() {
	in_watched curl -fs "http://127.0.0.1:$port/metrics" |
		awk '/^tcpwitness_records_lost_total/ { sum += $2 } END { print sum + 0 }'
}

load >"$scratch/warmup"
load >"$scratch/off"
for _ in $(seq "$rounds"); do
	daemon_on "$@"
	before=$(daemon_cost)
	load >>"$scratch/on"
	after=$(daemon_cost)
	echo $((after - before)) >>"$scratch/ticks"
	daemon_lost >>"$scratch/lost"
	stop "$daemon"
	daemon=
	load >>"$scratch/off"
done

awk -v hz="$(getconf CLK_TCK)" -v connections="$connections" -v mode="$mode" '
	FILENAME ~ /off$/ { off[++offs] = $1 }
	FILENAME ~ /on$/ { on[++ons] = $1 }
	FILENAME ~ /ticks$/ { ticks += $1 }
	FILENAME ~ /lost$/ { lost += $1 }
	END {
		for (i = 1; i <= ons; i++) {
			ratio = 2 * on[i] / (off[i] + off[i + 1])
			list = list sprintf("%s%.3f", i > 1 ? "," : "", ratio)
			sorted[i] = ratio
		}
		for (i = 2; i <= ons; i++)
			for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
				swap = sorted[j]; sorted[j] = sorted[j - 1]; sorted[j - 1] = swap
			}
		printf "{\"benchmark\":\"connection_rate\",\"mode\":\"%s\",\"kept_median\":%.3f," \
			"\"kept\":[%s],\"off_per_second\":%d,\"user_space_us_per_connection\":%.2f," \
			"\"records_lost\":%d}\n", mode, sorted[int((ons + 1) / 2)], list, off[1],
			ticks / hz * 1e6 / (ons * connections), lost
	}' "$scratch/off" "$scratch/on" "$scratch/ticks" "$scratch/lost"
