#!/bin/sh
# Are the manifests valid, and the configurations in them? Needs kubectl (no cluster), and: pip install kubernetes-validate
#
#     deploy/kubernetes/check.sh PROGRAM
set -eu

program=$(realpath "${1:?the program that is to read the configurations}")
cd "$(dirname "$0")"
all=$(mktemp)
trap 'rm -f "$all"' EXIT
for tier in site node; do
    kubectl kustomize $tier >"$all"
    grep -q "name: substratum-$tier-[a-z0-9]\{10\}$" "$all" || { echo "$tier: no configuration with a hash" >&2; exit 1; }
    kubernetes-validate --strict --quiet "$all"
    "$program" check --config $tier/$tier.toml >/dev/null
done
# As many parents as there are replicas.
replicas=$(sed -n 's/^  replicas: //p' site/site.yaml)
parents=$(grep -c '^url = "http://substratum-site-[0-9]*\.substratum-site\.' node/node.toml)
[ "$replicas" = "$parents" ] || { echo "$replicas replicas, but $parents parents" >&2; exit 1; }
echo "all is well"
