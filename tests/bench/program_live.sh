#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# What each BPF program costs on live traffic, by the kernel's own count (kernel.bpf_stats_enabled):
# a saturating connect/request/close load over one veth pair, in both directions of connecting. One
# JSON line a program. The clock that is read before and after each run is part of its time: some
# 30 ns that a program which does nothing takes too.
#
#	O=.output ROUNDS=3 CONNECTIONS=20000 MODE=client tests/bench/program_live.sh [FLAGS OF run]
set -eu

out=${O:-.output}
rounds=${ROUNDS:-3}
connections=${CONNECTIONS:-20000}
mode=${MODE:-client}
port=10293
scratch=$(mktemp -d)
watched=bench-$$-a
peer=bench-$$-b
daemon=
server=
stats=$(cat /proc/sys/kernel/bpf_stats_enabled)

stop() {
	kill "$1" 2>/dev/null || true
	wait "$1" 2>/dev/null || true
}

clean() {
	sysctl -qw kernel.bpf_stats_enabled="$stats"
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
	nsenter --net="/run/netns/${side% *}" sh -c "
		sysctl -qw net.ipv4.tcp_max_tw_buckets=2000000 net.core.somaxconn=4096 \
			net.ipv4.ip_local_port_range='1024 65000'
		ip link set lo up
		ip addr add ${side#* }/24 dev v0
		ip link set v0 up"
done

nsenter --net="/run/netns/$watched" "$out/tests/bench/connload" server --address 10.9.0.1 \
	--ports 8000-8003 --mode "$mode" --count 0 --request 100 --reply 1000 >"$scratch/server" 2>&1 &
server=$!
until [ "$(nsenter --net="/run/netns/$watched" ss -Htln | wc -l)" -eq 4 ]; do :; done

nsenter --net="/run/netns/$watched" "$out/tcpwitness" run --device v0 --log.level error \
	--api.socket "$scratch/api.sock" --web.listen-address "127.0.0.1:$port" "$@" &
daemon=$!
until nsenter --net="/run/netns/$watched" curl -fs -o "$scratch/ready" \
	"http://127.0.0.1:$port/-/ready"; do
	kill -0 "$daemon"
done

sysctl -qw kernel.bpf_stats_enabled=1
for round in $(seq "$rounds"); do
	bpftool -j prog show >"$scratch/before"
	nsenter --net="/run/netns/$peer" "$out/tests/bench/connload" client --address 10.9.0.1 \
		--ports 8000-8003 --mode "$mode" --count "$connections" --concurrency 64 \
		--request 100 --reply 1000 >"$scratch/client"
	bpftool -j prog show >"$scratch/after"
	awk '$1 == "prog_id:" { print $2 }' "/proc/$daemon/fdinfo/"* | sort -u >"$scratch/ours"
	python3 - "$scratch" "$connections" "$mode" "$round" <<'END'
import json
import sys

scratch, connections, mode, turn = sys.argv[1:]


def runs(name):
    with open(f"{scratch}/{name}", encoding="utf-8") as file:
        return {program["id"]: program for program in json.load(file)}


with open(f"{scratch}/ours", encoding="utf-8") as lines:
    ours = {int(line) for line in lines}
first, last = runs("before"), runs("after")
for key in sorted(ours & first.keys() & last.keys()):
    name = last[key]["name"]
    count, total = (
        last[key].get(field, 0) - first[key].get(field, 0) for field in ("run_cnt", "run_time_ns"))
    if count:
        print(json.dumps({
            "benchmark": "program_live", "mode": mode, "round": int(turn), "program": name,
            "ns": round(total / count, 1), "runs_per_connection": round(count / int(connections), 2),
            "ns_per_connection": round(total / int(connections), 1)}))
END
done
