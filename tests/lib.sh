# Common to tests that are shell scripts: processes and checks. Sourced, not run.
# shellcheck shell=bash

place=$(mktemp -d)
declare -A running=()
passed=0
failed=0

# Ends what was started here, by its process id, and removes the files. A nginx ends its workers when it is asked to.
clean_up() {
  local name try
  for name in "${!running[@]}"; do
    kill "${running[$name]}" 2>/dev/null
  done
  for ((try = 0; try < 30; try++)); do
    [ -n "$(jobs -pr)" ] || break
    sleep 0.1
  done
  for name in "${!running[@]}"; do
    kill -9 "${running[$name]}" 2>/dev/null
  done
  wait 2>/dev/null
  rm -rf "$place"
}
trap clean_up EXIT

# need TOOL...: a test that cannot run has failed.
need() {
  local tool
  for tool in "$@"; do
    if ! command -v "$tool" >/dev/null && ! [ -x "/usr/sbin/$tool" ]; then
      echo "$tool is missing"
      echo "0 passed, 1 failed"
      exit 1
    fi
  done
}

# give_up WHY: nothing after this can be tested.
give_up() {
  echo "FAILED: $1"
  tail -n 30 "$place"/*.log 2>/dev/null
  echo "$passed passed, $((failed + 1)) failed"
  exit 1
}

# finish: the closing line.
finish() {
  if [ "$failed" -gt 0 ]; then
    tail -n 30 "$place"/*.log 2>/dev/null
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

# free_ports N: prints N free ports.
free_ports() {
  python3 -c '
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[s.getsockname()[1] for s in sockets])' "$1"
}

# start NAME COMMAND...: starts a process in the background; its output goes to NAME.log.
start() {
  local name=$1
  shift
  "$@" >>"$place/$name.log" 2>&1 </dev/null &
  running[$name]=$!
}

# stop NAME SIGNAL: ends a process that was started here and waits for it.
stop() {
  kill "-$2" "${running[$1]}" 2>/dev/null
  wait "${running[$1]}" 2>/dev/null
  unset "running[$1]"
}

# wait_for WHAT COMMAND...: tries for 20 seconds.
wait_for() {
  local what=$1 try
  shift
  for ((try = 0; try < 200; try++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  give_up "$what did not come up"
}

# check SENTENCE EXPECTED ACTUAL
check() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
    echo "ok: $1"
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
    echo "  expected: $2"
    echo "  actual:   $3"
  fi
}
