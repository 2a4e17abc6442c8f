#!/bin/sh
# Are the manifests valid, and the configurations in them? Needs kubectl (no cluster), and:
# pip install kubernetes-validate cloudcoil-models-prometheus-operator
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
    python3 check_sizes.py "$all" $tier/$tier.toml
done
# The Prometheus operator's own kinds.
python3 check_monitoring.py monitoring.yaml site/site.yaml node/node.yaml
# Nodes ask the service by the name it has.
grep -q 'url = "http://substratum-site\.substratum\.svc:3128"' node/node.toml
grep -q 'clusterIP: None' site/site.yaml
echo "all is well"
