# Sourced. Makes $WORK, a copy of the module that nothing is written beside, and initialises it.
# The provider comes from $TF_PLUGIN_MIRROR, else from a mirror found below /opt, else from wherever
# this machine's Terraform gets its providers.

# Nothing is left out for want of it: a test that did not run is none.
command -v terraform > /dev/null || { echo "FAILED  there is no terraform on this machine"; exit 1; }

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

mirror=${TF_PLUGIN_MIRROR:-}
if [ -z "$mirror" ]; then
  found=$(find /opt -maxdepth 4 -type d -name registry.terraform.io -print -quit 2> /dev/null || true)
  mirror=${found:+$(dirname "$found")}
fi
# A variable that names a file which is not there makes Terraform complain at every call.
[ -z "${TF_CLI_CONFIG_FILE:-}" ] || [ -f "$TF_CLI_CONFIG_FILE" ] || unset TF_CLI_CONFIG_FILE
export TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1

cp -r "$ROOT/deploy/terraform" "$ROOT/deploy/state-machine" "$ROOT/deploy/jobs.json" "$WORK/"

init() { # FOLDER
  local log
  log=$(mktemp -p "$WORK" init.XXXX)
  terraform -chdir="$1" init -input=false -no-color ${mirror:+-plugin-dir="$mirror"} > "$log" 2>&1 ||
    { cat "$log"; return 1; }
}

PYTHON=$ROOT/.venv/bin/python
[ -x "$PYTHON" ] || make -C "$ROOT" venv > /dev/null
