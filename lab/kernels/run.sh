#!/bin/sh
# run.sh DIR LIMIT: prints which probes run on this kernel, then runs the tests of DIR, each in its package's folder, for
# LIMIT seconds at most in all. DIR/list has a line for each: "NAME FOLDER". Lines that begin with "@" are for table.awk.
dir=$1
end=$(($(date +%s) + $2))

printf '\n@kernel %s\n' "$(uname -r)" # after what the firmware may have left of a line
"$dir/plumbd" probes 2>&1 | sed 's/^/@probe /'
while read -r name folder; do
	left=$((end - $(date +%s)))
	[ "$left" -gt 0 ] || break
	[ "$left" -lt 600 ] || left=600
	echo "@test $name"
	start=$(date +%s)
	(cd "$folder" && exec timeout -s KILL $((left + 10)) "$dir/$name.test" -test.v -test.timeout "${left}s") </dev/null 2>&1
	echo "@exit $name $? $(($(date +%s) - start))"
done <"$dir/list"
echo "@end"
