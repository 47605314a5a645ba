#!/bin/bash
# In a chroot: builds the packages as an ordinary user, from a tarball of the sources, and has lintian look at them.
set -uo pipefail
. test/packaging/common.sh
. test/lib/copy.sh

need "package lists" apt-get -q update
# What builds for PostgreSQL would otherwise make a cluster and start it.
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
need "tools for building" install_debs build-essential lintian postgresql-common procps
if ! command -v pg_buildext >/dev/null; then
	need "pg_buildext" install_debs postgresql-common-dev
fi
upstream=$(dpkg-parsechangelog -S Version | sed 's/-[^-]*$//')
source=$builder/postgresql-key-vault-$upstream
rm -rf "$builder"
id builder >/dev/null 2>&1 || useradd builder
copy_checkout . "$source"
rm -f "$source"/built_for "$source"/key_vault--*.sql
tar -C "$source" --exclude=./debian --transform "s,^\.,key_vault-$upstream," -czf "$builder/postgresql-key-vault_$upstream.orig.tar.gz" .
# The sources have debian/control for bookworm.
need "debian/control of this release" env -C "$source" pg_buildext updatecontrol
chown -R builder: "$builder"
need "what the build needs" apt-get -q -y --no-install-recommends build-dep "$source"
version=$(cd "$source" && pg_buildext supported-versions)
echo "$version" >"$dir/version"

build()
{
	runuser -u builder -- env -C "$source" MAKEFLAGS="-j$(nproc)" dpkg-buildpackage --no-sign
}
need "source and binary packages" build
sed 's/^/# /' <(cd "$builder" && printf '%s\n' *.dsc *.deb)
deb=$builder/postgresql-$version-key-vault_$upstream-1_$(dpkg --print-architecture).deb
tools_deb=$builder/postgresql-key-vault-tools_$upstream-1_all.deb
need "${deb##*/}" [ -s "$deb" ]
need "${tools_deb##*/}" [ -s "$tools_deb" ]

minor=$("/usr/lib/postgresql/$version/bin/pg_config" --version | sed -E 's/^PostgreSQL ([0-9.]+).*/\1/')
# From Debian 13 on pg_buildext says it, too, as (>> MINOR), and the stricter of both stays.
depends()
{
	dpkg-deb -f "$deb" Depends | tee /dev/stderr | grep -E "postgresql-$version \((>= ${minor/./\\.}~|>> ${minor/./\\.})\)"
}
check "depends on the minor version of its headers" depends

has() # DEB FILE...
{
	local file
	dpkg-deb -c "$1" | awk '{ print $6 }' >"$dir/files"
	for file in "${@:2}"; do
		grep -E "^\./$file\$" "$dir/files" || { echo "no $file in"; cat "$dir/files"; return 1; }
	done
}
check "the extension's files" has "$deb" "usr/lib/postgresql/$version/lib/key_vault.so" "usr/share/postgresql/$version/extension/key_vault.control" \
	"usr/share/postgresql/$version/extension/key_vault--${upstream%.*}.sql" "usr/share/postgresql/$version/extension/key_vault--1.0--${upstream%.*}.sql"
check "programs, unit, monitoring and manual pages" has "$tools_deb" usr/bin/key_vault_make_root_key usr/bin/key_vault_ingest \
	'(usr/)?lib/systemd/system/key_vault_ingest.service' usr/share/key_vault/prometheus-postgres-exporter.yaml \
	usr/share/key_vault/prometheus-alerts.yml usr/share/key_vault/grafana-dashboard.json \
	usr/share/man/man1/key_vault_ingest.1.gz usr/share/man/man1/key_vault_make_root_key.1.gz

look()
{
	cd "$builder" && runuser -u builder -- lintian --version &&
		runuser -u builder -- lintian --display-info --fail-on error,warning --tag-display-limit 0 ./*.changes
}
check "lintian" look
sed 's/^/# /' "$dir/check.log"

echo "1..$count"
exit $failed
