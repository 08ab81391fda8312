# Common to the proxy tests: processes, checks and a browser made of curl. Sourced, not run.
# shellcheck shell=bash disable=SC2034 # status, location, body and url are read by the scripts that source this

tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
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

# visit JAR URL [CURL-OPTION...]: sets status, location (absolute), body and url. JAR is a file of cookies.
visit() {
  local jar=$1
  url=$2
  shift 2
  read -r status location < <(curl --silent --max-time 20 --cacert "$place/ca.pem" --connect-to "::127.0.0.1:$port" \
    --cookie "$jar" --cookie-jar "$jar" --output "$place/body" --dump-header "$place/head" \
    --header "Accept: text/html,*/*;q=0.8" --write-out '%{http_code} %{redirect_url}\n' "$@" "$url")
  body=$(cat "$place/body" 2>/dev/null)
  : >"$place/body"
}

# browse JAR URL: follows redirects to the page at their end.
browse() {
  local jar=$1 hop
  visit "$jar" "$2"
  for ((hop = 0; hop < 10; hop++)); do
    [ -n "$location" ] || return
    visit "$jar" "$location"
  done
}

# submit JAR ACTION NAME=VALUE...: fills in and sends the form of the page in body; does not follow the redirect.
submit() {
  local jar=$1 action=$2 origin data
  shift 2
  origin=$(cut -d/ -f1-3 <<<"$url")
  data=$(python3 "$tools/form.py" "$action" "$@" <<<"$body") || data=
  visit "$jar" "$origin$action" --data "$data" --header "Origin: $origin" --header "Sec-Fetch-Site: same-origin"
}

# header NAME: the values that the app saw under this name, joined by " | "; "(none)" without one.
header() {
  python3 -c '
import json, sys
values = [value for name, value in json.load(sys.stdin)["headers"] if name.lower() == sys.argv[1].lower()]
print(" | ".join(values) if values else "(none)")' "$1" <<<"$body" 2>/dev/null || echo "(no answer of the app)"
}

# reached: whether the answer is the app's.
reached() {
  case $body in *'"app": "reached"'*) echo yes ;; *) echo no ;; esac
}

# make_certificate NAME...: a certificate authority and a certificate for these names.
make_certificate() {
  local names
  names=$(printf 'DNS:%s,' "$@")
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=proxy test authority" \
      -keyout "$place/ca.key" -out "$place/ca.pem" \
      -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" &&
      openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=proxy test" \
        -keyout "$place/site.key" -out "$place/site.csr" &&
      openssl x509 -req -in "$place/site.csr" -CA "$place/ca.pem" -CAkey "$place/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo "subjectAltName=${names%,}") -out "$place/site.pem"
  } >"$place/openssl.log" 2>&1 || give_up "openssl made no certificate"
}
