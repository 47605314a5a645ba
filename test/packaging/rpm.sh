#!/bin/bash
# In a chroot: builds the packages of contrib/rpm with Debian's rpmbuild, and looks at what is in them.
set -uo pipefail
. test/packaging/common.sh
. test/lib/copy.sh

need "rpmbuild" install_debs rpm cpio
spec=contrib/rpm/key_vault.spec
upstream=$(sed -n 's/^Version: *//p' "$spec")
top=$builder/rpmbuild
rm -rf "$top" "$dir/rpm"
mkdir -p "$top/SOURCES" "$dir/rpm"
# The user who builds cannot read what is root's.
cp "$spec" "$top"
copy_checkout . "$top/key_vault-$upstream"
rm -f "$top/key_vault-$upstream/built_for" "$top/key_vault-$upstream"/key_vault--*.sql
tar -C "$top" -czf "$top/SOURCES/key_vault-$upstream.tar.gz" "key_vault-$upstream"
chown -R builder: "$top"

# Debian has no packages of RPM's, on which the build depends, and no macros of systemd's.
build()
{
	runuser -u builder -- rpmbuild -bb --nodeps --define "_topdir $top" --define "pgmajorversion $version" \
		--define "pg_config $bindir/pg_config" --define '_unitdir /usr/lib/systemd/system' --define 'debug_package %{nil}' --define '_build_id_links none' \
		--define 'systemd_post() :' --define 'systemd_preun() :' "$top/${spec##*/}"
}
need "packages" build
rpm=$(echo "$top"/RPMS/*/key_vault_"$version"-"$upstream"-1*.rpm)
tools_rpm=$(echo "$top"/RPMS/noarch/key_vault-tools-"$upstream"-1*.rpm)
printf '# %s\n' "${rpm##*/}" "${tools_rpm##*/}"

has() # RPM FILE...
{
	local file
	rpm -qlp "$1" >"$dir/files"
	for file in "${@:2}"; do
		grep -xE "$file(\.gz)?" "$dir/files" || { echo "no $file in"; cat "$dir/files"; return 1; }
	done
}
check "the extension's files" has "$rpm" "$("$bindir/pg_config" --pkglibdir)/key_vault.so" "$("$bindir/pg_config" --sharedir)/extension/key_vault.control" \
	"$("$bindir/pg_config" --sharedir)/extension/key_vault--${upstream%.*}.sql" "$("$bindir/pg_config" --sharedir)/extension/key_vault--1.0--${upstream%.*}.sql"
check "programs, unit, monitoring and manual pages" has "$tools_rpm" /usr/bin/key_vault_make_root_key /usr/bin/key_vault_ingest \
	/usr/lib/systemd/system/key_vault_ingest.service /usr/share/key_vault/prometheus-postgres-exporter.yaml \
	/usr/share/key_vault/prometheus-alerts.yml /usr/share/key_vault/grafana-dashboard.json \
	/usr/share/man/man1/key_vault_ingest.1 /usr/share/man/man1/key_vault_make_root_key.1

depends() # RPM TEXT
{
	rpm -qRp "$1" | tee /dev/stderr | grep -xF "$2"
}
minor=$("$bindir/pg_config" --version | sed -E 's/^PostgreSQL ([0-9.]+).*/\1/')
check "depends on the minor version of its headers" depends "$rpm" "postgresql$version-server >= $minor"
check "depends on the programs" depends "$rpm" "key_vault-tools >= $upstream"

starts_with_its_library()
{
	rpm2cpio "$rpm" >"$dir/rpm/files.cpio" && (cd "$dir/rpm" && cpio -id --quiet <files.cpio) && chmod 755 "$dir" "$dir/rpm" && server_dir "$server" &&
		make_server "$server" "shared_preload_libraries = '$dir/rpm$("$bindir/pg_config" --pkglibdir)/key_vault.so'" && start_server "$server"
}
rm -rf "$server"
check "a server starts with its library" starts_with_its_library

echo "1..$count"
exit $failed
