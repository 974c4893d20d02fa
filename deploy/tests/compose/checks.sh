# `docker-compose up` as a person would run it, checked, and down again. Sourced by ../container/run.

project=worker-compose-test
compose_file="$root/docker-compose.yml"
composed() { compose -p "$project" -f "$compose_file" "$@"; }
compose_container() { docker ps -q --filter "label=com.docker.compose.project=$project" --filter "label=com.docker.compose.service=$1"; }

# What is built reaches its package index by the machine's network, which the file need not say.
compose_builds() {
  echo '{"services": {"emulators": {"build": {"network": "host"}}}}' >"$scratch/network.yml"
  composed -f "$scratch/network.yml" build
}

# The images that the file pulls, under the names it gives them.
make_standins() {
  local context="$scratch/standins" service name
  mkdir -p "$context" "$engine/packages/prometheus"
  (cd "$engine/packages/prometheus" && apt-get -qq -o APT::Sandbox::User=root download prometheus) || return 1
  dpkg --fsys-tarfile "$engine"/packages/prometheus/*.deb | tar -x -C "$context" --strip-components=3 ./usr/bin/prometheus
  cp "$here/../compose/grafana.py" "$context/"
  for service in prometheus grafana; do
    name="$(composed config | sed -nE "s|^ *image: (.*/$service:.*)|\1|p")"
    docker build -f "$here/../compose/standins.Dockerfile" --target "$service" -t "$name" "$context" || return 1
  done
}

happened() { # happened EVENT…: of this project since its start, as `service event exitCode`
  docker events --since "$composed_at" --until "$(date +%s)" \
    --filter "label=com.docker.compose.project=$project" "${@/#/--filter=event=}" \
    --format '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Action}} {{index .Actor.Attributes "exitCode"}}' |
    sed 's/ <no value>//; s/ *$//'
}

compose_up() {
  docker volume ls -q | sort >"$scratch/volumes"
  composed_at="$(date +%s)"
  composed up -d --no-build || return 1
  composed logs --no-color -f worker >"$scratch/compose.log" 2>&1 &
  sleep 1 # the events' clock counts whole seconds
  happened start health_status | head -n 5 |
    diff - <(printf '%s\n' 'emulators start' 'emulators health_status: healthy' 'worker start' 'prometheus start' 'grafana start')
}

check_demo() { # counts what it finds as checks of ours
  local started=$SECONDS line
  PYTHONPATH="$here/..:$here/../monitoring" beside "$root/.venv/bin/python" "$here/../compose/check.py" \
    "$root/deploy" >"$scratch/look.log" 2>&1 || true
  sed '/^[0-9]* passed, [0-9]* failed$/d' "$scratch/look.log"
  line="$(tail -n 1 "$scratch/look.log")"
  if [[ "$line" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
  else
    failed=$((failed + 1))
  fi
  [[ "$line" = *", 0 failed" ]] || tail -n 15 "$scratch/compose.log"
  echo "checked for $((SECONDS - started)) s"
}

compose_down() {
  composed down --volumes || return 1
  sleep 1
  happened die >"$scratch/died"
  cat "$scratch/died"
  [ "$(sort "$scratch/died" | tr '\n' ,)" = 'emulators die 0,grafana die 0,prometheus die 0,worker die 0,' ] &&
    [ "$(tail -n 2 "$scratch/died" | tr '\n' ,)" = 'worker die 0,emulators die 0,' ]
}

compose_drained() { tail -n 3 "$scratch/compose.log" && grep '"worker_stopped"' "$scratch/compose.log" | grep -q '"stranded":0'; }

compose_nothing_left() {
  local label="label=com.docker.compose.project=$project"
  docker volume ls -q | sort | diff "$scratch/volumes" - || return 1
  [ -z "$(docker ps -aq --filter "$label")$(docker network ls -q --filter "$label")" ]
}

compose_ended() { composed down --volumes >/dev/null 2>&1 || true; }
