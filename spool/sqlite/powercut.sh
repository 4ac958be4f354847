#!/usr/bin/env bash
# Cuts the power under a busy spool, again and again, and holds what the disk has to what the spool promised.
#
#   sudo spool/sqlite/powercut.sh [rounds]                          # 10 rounds; must end with "0 failed"
#   sudo MAILBEARER_CRASH_SYNC=NORMAL spool/sqlite/powercut.sh      # the control: must fail (OFF fails even more)
#
# kill -9 keeps the page cache, so it proves the logic and not the syncs (TestCrash does that). Here the store is on
# ext4 on a loop device. A child of the test binary puts, claims, settles, retries, holds, drops, reports and purges,
# and says what it was promised. At a random moment it is stopped, and the backing image is copied: that is only what
# reached the block device, as after a power cut. The copy is mounted, which replays its journal, and verified
# (TestPowerCut). A store is kept over five cuts in a row, then a new one is made.
#
# What it cannot show: a disk that reorders or loses what it has in its own cache after a flush.
# Needs root, mkfs.ext4, losetup and 1 GB in TMPDIR. Not in CI. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")"
rounds=${1:-10}
keep=5
work=$(mktemp -d)
child=
cleanup() {
	[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true
	umount "$work/live" 2>/dev/null || true
	umount "$work/cut" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work/live" "$work/cut" "$work/logs"
CGO_ENABLED=0 go test -c -o "$work/spool.test" .

fresh() { # a new disk; its journal commits by itself only after a minute, so that nothing but our syncs writes
	rm -f "$work/logs"/*
	truncate -s 0 "$work/image" && truncate -s 256M "$work/image"
	mkfs.ext4 -q -F "$work/image"
}

failed=0
for round in $(seq "$rounds"); do
	(((round - 1) % keep)) || fresh
	mount -o loop,commit=60 "$work/image" "$work/live"
	log=$work/logs/$(printf %04d "$round")
	MAILBEARER_CRASH_DIR=$work/live/data "$work/spool.test" >"$log" &
	child=$!
	until [ -s "$log" ]; do sleep 0.05; done
	sleep "$((RANDOM % 3)).$((RANDOM % 10))"
	kill -STOP "$child"
	cp --sparse=always "$work/image" "$work/copy"
	kill -9 "$child"
	wait "$child" 2>/dev/null || true
	child=
	umount "$work/live"
	mv "$work/copy" "$work/image"
	mount -o loop "$work/image" "$work/cut"
	if MAILBEARER_POWERCUT_DIR=$work/cut/data MAILBEARER_POWERCUT_LOGS=$work/logs \
		"$work/spool.test" -test.run '^TestPowerCut$' -test.v >"$work/out" 2>&1; then
		echo "round $round: $(grep -o '[0-9]* messages' "$work/out"), all as promised"
	else
		failed=$((failed + 1))
		echo "round $round FAILED: $(grep -c 'is lost' "$work/out" || true) lost, $(grep -c 'is back' "$work/out" || true) back"
		grep -m 5 "_test.go" "$work/out" || true
		broken=yes
	fi
	umount "$work/cut"
	if [ -n "${broken:-}" ]; then # what is wrong stays wrong: go on with a new disk
		broken=
		fresh
	fi
done
echo "$rounds rounds, $failed failed"
[ "$failed" = 0 ]
