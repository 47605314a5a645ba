#!/bin/bash
# In a chroot: does what contrib/docker/Dockerfile says, step by step, on this Debian instead of Docker's images.
set -uo pipefail
. test/packaging/common.sh
. test/lib/copy.sh

export PG_MAJOR=$version PG_VERSION
PG_VERSION=$(dpkg-query -W -f '${Version}' "postgresql-$version")
image=$dir/image
rm -rf /built /usr/src/key_vault "$image"

copy() # FROM TO
{
	mkdir -p "$2"
	if [ "$1" = . ]; then
		copy_checkout . "$2"
	elif [ -d "$1" ]; then
		cp -a "$1/." "$2"
	else
		return 1
	fi
}

# One instruction.  Images with a system in them are this system.
step() # INSTRUCTION ARGUMENTS
{
	local arguments
	case $1 in
		ARG) ;;
		FROM) [ "${2%% *}" = scratch ] && root=$image || root= ;;
		RUN) check "RUN ${2:0:50}..." env -C / sh -ec "$2" ;;
		COPY)
			read -r -a arguments <<<"${2//\$\{PG_MAJOR\}/$version}"
			check "COPY $2" copy "${arguments[-2]}" "$root${arguments[-1]}"
			;;
		*) check "$1 is an instruction that is known here" false ;;
	esac
}
root=
while read -r instruction arguments; do
	[ -z "$instruction" ] || step "$instruction" "$arguments" </dev/null
done < <(perl -0pe 's/^#.*\n//mg; s/\\\n\s*//g' contrib/docker/Dockerfile)

check "the programs are in the path of the image" env PATH="$bindir:$PATH" sh -c 'command -v key_vault_make_root_key key_vault_ingest mosquitto_sub'
for file in lib/key_vault.so share/extension/key_vault.control share/extension/key_vault--1.0--1.1.sql; do
	check "the image volume has $file" [ -s "$image/$file" ]
done
check "and nothing but the extension" [ -z "$(find "$image" -type f ! -name 'key_vault*')" ]

echo "1..$count"
exit $failed
