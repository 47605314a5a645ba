#!/bin/bash
# key_vault_make_root_key: a server takes the file that the script makes; a file that exists already stays; and
# the script refuses to do anything that would give the key away.
set -uo pipefail

bindir=$("$PG_CONFIG" --bindir)
. test/lib/server.sh

dir=$TESTDIR
command=$bindir/key_vault_make_root_key
me=$(id -un)
. test/tap/lib/check.sh

make_key()
{
	"$command" --owner "$me" "$@"
}

# The script fails, says why, and leaves nothing behind.
refuses() # REASON FILE [ARGUMENT...]
{
	local reason=$1 file=$2 status=0 before
	shift
	before=$(find "$dir" -not -name '*.log' | sort)
	"$command" --owner "$me" "$@" >"$dir/refuses.log" 2>&1 || status=$?
	cat "$dir/refuses.log"
	[ "$status" != 0 ] && grep -qF -e "$reason" "$dir/refuses.log" && [ "$(find "$dir" -not -name '*.log' | sort)" = "$before" ]
}

file=$dir/etc/root.key
check "is installed, and makes a file and its directory" make_key "$file"
cp "$dir/check.log" "$dir/said"
check "owner and mode of the file" [ "$(stat -c '%U %a' "$file")" = "$me 600" ]
check "owner and mode of the directory" [ "$(stat -c '%U %a' "$dir/etc")" = "$me 700" ]
check "a line of 64 hexadecimal digits" grep -qxE '[0-9a-f]{64}' "$file"
check "and nothing else" [ "$(wc -c <"$file")" = 65 ]
check "nothing else is left in the directory" [ "$(ls -A "$dir/etc")" = root.key ]
check "the setting is printed" grep -qxF "    key_vault.root_key = 'file:$file'" "$dir/said"
check "and the reminder of a copy" grep -qF 'Keep a copy of this file, apart from the database and its backups.' "$dir/said"
# shellcheck disable=SC2016 # the inner shell's
check "the key is not printed" sh -c '! grep -qiF -f "$1" "$2"' sh "$file" "$dir/said"
cp "$file" "$dir/before"
check "what is there stays" refuses 'is there already, and stays as it is' "$file"
check "as it is" cmp "$file" "$dir/before"
ln -s nowhere "$dir/etc/link"
check "a link to nothing is there, too" refuses 'is there already' "$dir/etc/link"
check "another key is another" make_key "$dir/etc/second.key"
# shellcheck disable=SC2016 # the inner shell's
check "not the same" sh -c '! cmp -s "$1" "$2"' sh "$file" "$dir/etc/second.key"

# A server is set up with the settings that the script printed.
server_dir "$server" && make_server "$server" "$(grep -oE "key_vault.root_key = 'file:[^']*'" "$dir/said")" \
	"$(grep -oE "shared_preload_libraries = '[^']*'" "$dir/said")"
check "a server starts with what was printed" start_server "$server"
use_server "$server"
check "and seals with it" psql -XqAt -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION key_vault' -c "SELECT key_vault.kek_create('a')" \
	-c "SELECT 1 / (position = 1 AND root_key_id IS NOT NULL AND problem IS NULL)::integer FROM key_vault.root_keys()"

check "not in the data directory" refuses 'inside the data directory' "$server/data/root.key"
check "not below it" refuses 'inside the data directory' "$server/data/base/root.key"
check "not in a new directory of it" refuses 'inside the data directory' "$server/data/secret/root.key"
ln -s "$server/data/base" "$dir/innocent"
check "not through a link" refuses 'inside the data directory' "$dir/innocent/root.key"
mkdir "$dir/space"
psql -Xqc "CREATE TABLESPACE space LOCATION '$dir/space'"
check "not in a tablespace" refuses 'inside the tablespace' "$(echo "$dir"/space/PG_*)/root.key"

mkdir -m 0770 "$dir/shared"
check "not where a group may write" refuses 'may write in' "$dir/shared/root.key"
mkdir -m 0707 "$dir/public"
check "not where everybody may write" refuses 'may write in' "$dir/public/root.key"
check "a relative path" refuses 'absolute path' root.key
check "a comma" refuses 'letters, digits' "$dir/a,b.key"
check "a quote" refuses 'letters, digits' "$dir/a'b.key"
check "a directory" refuses 'is a directory' "$dir/etc/"
check "no parent" refuses 'no directory' "$dir/a/b/root.key"
check "another's file" refuses 'only root and' "$dir/etc/other.key" --owner nobody
check "root's file" refuses "root" "$dir/etc/other.key" --owner root
check "an unknown user" refuses 'there is no user' "$dir/etc/other.key" --owner no_such_user
check "an unknown option" refuses 'usage:' "$dir/etc/other.key" --force
check "two files" refuses 'usage:' "$dir/etc/other.key" "$dir/etc/another.key"
check "no file" refuses 'usage:' --

echo "1..$count"
exit $failed
