#!/usr/bin/env python3
"""Builds the packages and tries them out. Takes minutes, root, and the network of Debian's mirror for the chroot.

    deploy/packaging/check.py [--root FOLDER] [--no-build]

deb: installed into a Debian made by debootstrap, started as site and node, asked through both, upgraded under load without a
request refused or failed, removed and purged. systemd does not run in a chroot: `stage.py` stands in for its sockets.
rpm: its lists and scripts, and its program, unpacked. Image: its content and settings; the program in it, started. Apptainer: the archive that
its definition begins with; built, where Apptainer is.
With --root, an existing chroot is used and kept. Needs debootstrap, rpm, buildah, skopeo, and what build.sh needs.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

from stage import Load, Service, Stratum

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PACKAGES = os.path.join(TOP, "target/packages")
BUILDAH = os.environ.get("BUILDAH", "buildah --storage-driver vfs").split()
REPOSITORY = "cvmfs/images.test.local"


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        raise SystemExit("%s: %d\n%s" % (" ".join(command), done.returncode, done.stdout))
    return done.stdout


def claim(truth, words):
    print(("ok      " if truth else "FAILED  ") + words, flush=True)
    if not truth:
        sys.exit(1)


def build(*parts, revision="1"):
    environment = {**os.environ, "REVISION": revision, "BUILDAH": " ".join(BUILDAH)}
    subprocess.run([os.path.join(TOP, "deploy/packaging/build.sh"), *parts], env=environment, check=True)


def package(kind, revision):
    pattern = {"deb": "*-%s_*.deb", "rpm": "*-%s.*.rpm"}[kind] % revision
    found = glob.glob(os.path.join(PACKAGES, pattern))
    claim(len(found) == 1, "%s, revision %s: %s" % (kind, revision, [os.path.basename(file) for file in found]))
    return found[0]


def wanted(stratum):
    """Some objects of the fixture: URLs and contents."""
    tree = os.path.join(TOP, "tests/fixtures")
    for file in sorted(glob.glob(os.path.join(tree, REPOSITORY, "data/*/*")))[:40]:
        path = os.path.relpath(file, tree)
        with open(file, "rb") as content:
            yield stratum.url + "/" + path, content.read()


def settings(site, node, stratum):
    """Configurations for site and node: what an operator writes into /etc."""
    both = 'proxy = ["127.0.0.1:%d"]\nadmin = "off"\nworkers = 2\n'
    disk = '[disk]\npath = "/var/cache/substratum/%s"\ncapacity = "64 MiB"\n[memory]\ncapacity = "16 MiB"\n'
    mirrors = '[[mirrors]]\nname = "strata"\nurls = ["%s"]\n' % stratum.url
    yield "site.toml", "[listen]\nname = \"site\"\n" + both % site.port + disk % "site" + mirrors
    parents = '[[parents]]\nurl = "http://127.0.0.1:%d"\n[upstream]\ndirect = false\n' % site.port
    yield "node.toml", "[listen]\nname = \"node\"\n" + both % node.port + disk % "node" + mirrors + parents


def check_deb(root, first, second):
    shown = run("dpkg-deb", "--info", first)
    claim("conffiles" in shown and "postinst" in shown and "prerm" in shown, "deb: conffiles and maintainer scripts")
    claim("Depends: adduser\n" in shown, "deb: depends on nothing but adduser")

    def installed(*names):
        return all(os.path.exists(os.path.join(root, name)) for name in names)

    def dpkg(*arguments):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        return run("chroot", root, "dpkg", *arguments, env=environment)

    for revision, file in (("1", first), ("2", second)):
        shutil.copy(file, os.path.join(root, "tmp/%s.deb" % revision))
    dpkg("--install", "/tmp/1.deb")
    claim(installed("usr/bin/substratum", "etc/substratum/site.toml", "etc/substratum/node.toml"), "installed")
    claim("substratum" in run("chroot", root, "getent", "passwd", "substratum"), "the user is there")
    for tier in ("site", "node"):
        checked = run("chroot", root, "/usr/bin/substratum", "check", "--config", "/etc/substratum/%s.toml" % tier)
        claim("warning" not in checked, "the shipped %s.toml is right" % tier)

    stratum = Stratum(os.path.join(TOP, "tests/fixtures"))
    site, node = (Service(root, "/etc/substratum/%s.toml" % tier) for tier in ("site", "node"))
    for name, text in settings(site, node, stratum):
        with open(os.path.join(root, "etc/substratum", name), "w") as file:
            file.write(text)
    cache = os.path.join(root, "var/cache/substratum")
    os.makedirs(cache, exist_ok=True)
    run("chroot", root, "chown", "substratum:substratum", "/var/cache/substratum")
    objects = list(wanted(stratum))
    site.start()
    node.start()
    proxy = "http://127.0.0.1:%d" % node.port
    for url, content in objects[:3]:
        answer = subprocess.run(["curl", "-fsS", "-x", proxy, url], stdout=subprocess.PIPE, check=True).stdout
        claim(answer == content, "curl -> node -> site -> stratum: %d bytes" % len(content))
    head = run("curl", "-fsSI", "-x", proxy, objects[0][0])
    claim("HIT from node" in head, "and from the node's memory")

    load = Load(proxy, objects)
    load.more(200)
    for service in (site, node):
        service.reload()
    load.more(200)
    dpkg("--install", "--force-confold", "/tmp/2.deb")
    claim(site.running().endswith("(deleted)"), "upgraded; the old program still runs")
    for service in (node, site, node):
        service.restart()
        load.more(200)
    claim(not site.running().endswith("(deleted)"), "the new program runs")
    answered, failures = load.end()
    claim(answered >= 1000 and not failures, "%d requests during reload, upgrade and restarts; failed: %s" % (answered, failures[:3]))
    with open(os.path.join(root, "etc/substratum/site.toml")) as file:
        claim('name = "site"' in file.read(), "the changed configuration was left alone")
    node.stop()
    site.stop()
    dpkg("--remove", "substratum")
    claim(not installed("usr/bin/substratum") and installed("etc/substratum/site.toml", "var/cache/substratum"), "removed")
    dpkg("--purge", "substratum")
    left = [name for name in ("etc/substratum", "var/cache/substratum", "lib/systemd/system/substratum.service") if installed(name)]
    claim(not left, "purged; left: %s" % left)


def check_rpm(file):
    configs = run("rpm", "-qp", "--configfiles", file).split()
    claim(sorted(configs) == ["/etc/substratum/node.toml", "/etc/substratum/site.toml"], "rpm: configuration files")
    scripts = run("rpm", "-qp", "--scripts", file)
    claim("useradd" in scripts and "try-restart" in scripts, "rpm: scripts")
    with tempfile.TemporaryDirectory() as folder:
        run("sh", "-c", 'rpm2cpio "$0" | cpio -idm --quiet', file, cwd=folder)
        version = run(os.path.join(folder, "usr/bin/substratum"), "--version")
        claim(version.startswith("substratum "), "rpm: its program says " + version.strip())
        for name in ("substratum.service", "substratum.socket", "substratum-node.service", "substratum-node.socket"):
            claim(os.path.exists(os.path.join(folder, "usr/lib/systemd/system", name)), "rpm: " + name)


def check_image():
    name = "containers-storage:[vfs@/var/lib/containers/storage+/run/containers/storage]localhost/substratum:latest"
    image = json.loads(run("skopeo", "inspect", "--config", name))["config"]
    claim(image["User"] == "65534:65534" and image["Entrypoint"] == ["/substratum"], "image: user and entrypoint")
    container = run(*BUILDAH, "from", "localhost/substratum").strip()
    try:
        root = run(*BUILDAH, "mount", container).strip()
        files = {os.path.relpath(os.path.join(at, file), root) for at, _, names in os.walk(root) for file in names}
        expected = {"substratum", "etc/substratum/substratum.toml", "etc/ssl/certs/ca-certificates.crt"}
        claim(files == expected, "image: %s" % sorted(files))
        variables = {"SQUID_CACHE_MEM": "64 MB", "SUBSTRATUM_LISTEN_WORKERS": "3"}
        checked = run("chroot", "--userspec=65534:65534", root, "/substratum", "check", "--config",
                      "/etc/substratum/substratum.toml", env={**os.environ, **variables})
        claim('capacity = "64 MiB" # SQUID_CACHE_MEM' in checked, "image: it starts as another user, and heeds variables")
    finally:
        run(*BUILDAH, "rm", container)


def check_definition():
    """The archive that the Apptainer definition begins with; and the whole of it, where Apptainer is (Debian has none)."""
    definition = os.path.join(TOP, "deploy/container/substratum.def")
    with open(definition) as file:
        header = dict(line.rstrip().split(": ", 1) for line in file if line.startswith(("Bootstrap: ", "From: ")))
    claim(header["Bootstrap"] == "oci-archive", "definition: from an archive")
    archive = "oci-archive:" + os.path.join(TOP, header["From"])
    if os.path.exists(os.path.join(TOP, header["From"])):
        os.remove(os.path.join(TOP, header["From"]))
    run(*BUILDAH, "push", "localhost/substratum", archive)
    image = json.loads(run("skopeo", "inspect", "--config", archive))["config"]
    claim(image["Entrypoint"] == ["/substratum"], "definition: its archive is the image")
    if not shutil.which("apptainer"):
        print("skipped definition: apptainer is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        sif = os.path.join(folder, "substratum.sif")
        run("apptainer", "build", sif, definition, cwd=TOP)
        version = run("apptainer", "exec", sif, "/substratum", "--version")
        claim(version.startswith("substratum "), "definition: built; its program says " + version.strip())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--root", help="a Debian root folder that is there already")
    arguments.add_argument("--no-build", action="store_true", help="the program is built")
    arguments = arguments.parse_args()
    if not arguments.no_build:
        build("program")
    shutil.rmtree(PACKAGES, ignore_errors=True)
    build("deb", "rpm")
    build("deb", revision="2")
    first, second, rpm = package("deb", "1"), package("deb", "2"), package("rpm", "1")
    check_rpm(rpm)
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or os.path.join(folder, "root")
        if not arguments.root:
            run("debootstrap", "--variant=minbase", "bookworm", root)
        check_deb(root, first, second)
    build("image")
    check_image()
    check_definition()
    print("all is well")


if __name__ == "__main__":
    main()
