#!/usr/bin/env python3
"""Do the resources of the pods match what the configuration in them makes of itself?

    deploy/kubernetes/check_sizes.py MANIFESTS CONFIGURATION

Memory: the limit has room for the memory tier, a quarter of it for downloads, documents, and the rest. Disk: the volume has room for
the disk tier.
"""

import sys
import tomllib

import yaml

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
DOCUMENTS = 64 << 20
REST = 128 << 20


def size(text):
    number = text.rstrip("KMGiB ")
    return int(number) * UNITS[text[len(number):].strip()]


def main():
    with open(sys.argv[1]) as file:
        documents = [one for one in yaml.safe_load_all(file) if one]
    with open(sys.argv[2], "rb") as file:
        configuration = tomllib.load(file)
    [workload] = [one for one in documents if one["kind"] in ("StatefulSet", "DaemonSet")]
    [container] = workload["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value") for one in container["env"]}
    memory = size(environment["SUBSTRATUM_MEMORY_CAPACITY"])
    limit = size(container["resources"]["limits"]["memory"])
    fills = max(memory // 4, 64 << 20)
    if memory + fills + DOCUMENTS + REST > limit:
        sys.exit("a limit of %d MiB of memory is too little for what is configured" % (limit >> 20))
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = [size(claim["spec"]["resources"]["requests"]["storage"]) for claim in claims]
    for volume in workload["spec"]["template"]["spec"]["volumes"]:
        if "emptyDir" in volume:
            volumes.append(size(volume["emptyDir"]["sizeLimit"]))
    if size(configuration["disk"]["capacity"]) > max(volumes):
        sys.exit("the volume is smaller than the disk tier")


if __name__ == "__main__":
    main()
