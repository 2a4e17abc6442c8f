#!/usr/bin/env python3
"""Do the monitors fit the Prometheus operator's schema, and the objects that they select?

    deploy/kubernetes/check_monitoring.py MONITORS MANIFEST...

Needs: pip install cloudcoil-models-prometheus-operator (models made from the custom resource definitions).
"""

import sys

import yaml
from cloudcoil.models.prometheus_operator import v1


def documents(path):
    with open(path) as file:
        return [document for document in yaml.safe_load_all(file) if document]


def demand(truth, words):
    if not truth:
        sys.exit(words)


def known(model, given, place):
    """Nothing is written that the schema has no word for; the models let it pass."""
    for name, value in given.items():
        field = {(field.alias or key): key for key, field in type(model).model_fields.items()}.get(name)
        demand(field is not None, "%s: %s is unknown" % (place, name))
        parsed = getattr(model, field)
        if isinstance(value, dict) and hasattr(type(parsed), "model_fields"):
            known(parsed, value, place + "." + name)
        if isinstance(value, list):
            for one, item in zip(parsed, value):
                if isinstance(item, dict):
                    known(one, item, place + "." + name)


def selects(labels, wanted):
    return all(labels.get(key) == value for key, value in wanted.items())


def main():
    monitors, manifests = sys.argv[1], [one for path in sys.argv[2:] for one in documents(path)]
    services = [one for one in manifests if one["kind"] == "Service"]
    pods = [one["spec"]["template"] for one in manifests if one["kind"] in ("StatefulSet", "DaemonSet")]
    for document in documents(monitors):
        kind = document["kind"]
        known(getattr(v1, kind).model_validate(document), document, kind)
        wanted = document["spec"]["selector"]["matchLabels"]
        if kind == "ServiceMonitor":
            found = [one for one in services if selects(one["metadata"]["labels"], wanted)]
            ports = {port["name"] for one in found for port in one["spec"]["ports"]}
            endpoints = document["spec"]["endpoints"]
        else:
            found = [one for one in pods if selects(one["metadata"]["labels"], wanted)]
            ports = {port["name"] for one in found for part in one["spec"]["containers"] for port in part["ports"]}
            endpoints = document["spec"]["podMetricsEndpoints"]
        demand(len(found) == 1, "%s selects %d objects" % (kind, len(found)))
        demand(all(endpoint["port"] in ports for endpoint in endpoints), "%s: no such port" % kind)


if __name__ == "__main__":
    main()
