#!/bin/sh
# One static program, and what is made of it. Without arguments: program, deb, rpm.
#
#     deploy/packaging/build.sh [program] [deb] [rpm] [image]
#
# Needs: rustup target add x86_64-unknown-linux-musl, musl-gcc (Debian: musl-tools); for the packages
# cargo install cargo-deb cargo-generate-rpm; for the image buildah and ca-certificates.
# REVISION=2 makes packages that count as newer. BUILDAH="buildah --storage-driver vfs" and the like suit other machines.
set -eu

cd "$(dirname "$0")/../.."
target=x86_64-unknown-linux-musl
revision=${REVISION:-1}

# What makes a crash readable stays behind, in substratum.debug: 47 MB become 10.
program() {
    built=target/$target/release/substratum
    cargo build --release --locked --target $target
    if [ ! "$built.debug" -nt $built ]; then
        cp $built $built.whole
        strip $built
        objcopy --only-keep-debug $built.whole $built.debug
        rm $built.whole
    fi
    echo "program: $built"
}

deb() {
    mkdir -p target/packages
    cargo deb --no-build --target $target --deb-revision "$revision" --output target/packages/
}

rpm() {
    mkdir -p target/packages
    cargo generate-rpm --target $target --output target/packages/ --set-metadata "release = \"$revision\""
}

# Nothing of the image is made while it is built: it has no shell.
image() {
    root=target/container
    rm -rf $root
    install -D -m 755 target/$target/release/substratum $root/substratum
    install -D -m 644 deploy/container/substratum.toml $root/etc/substratum/substratum.toml
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt $root/etc/ssl/certs/ca-certificates.crt
    install -d -m 1777 $root/tmp $root/var/cache/substratum
    ${BUILDAH:-buildah} bud -f deploy/container/Containerfile -t substratum .
}

for part in "${@:-all}"; do
    case $part in
        all) program; deb; rpm ;;
        program | deb | rpm | image) $part ;;
        *) echo "unknown: $part" >&2; exit 2 ;;
    esac
done
