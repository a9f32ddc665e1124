# Makes the table of what runs where: of the list of tests, and of what run.sh printed on each kernel. Ends with 1 where
# a test failed, with 2 where one did not run.
function bad(text, s) {
	print "kernels: " text >"/dev/stderr"
	if (status != 1) status = s
}

FNR == 1 { file++ }
{ sub(/: kernel [^ ]+ has/, ": the kernel has") } # packages are newer each time
file == 1 { tests[++ntests] = $1; next }
/^@kernel / { split($2, v, "."); kernel[file] = v[1] "." v[2]; next }
/^@probe PROBE/ { next }
/^@probe / {
	sub(/^@probe /, "")
	split($0, word, /  +/)
	if (!(word[1] in row)) { row[word[1]] = 1; probes[++nprobes] = word[1] }
	runs[file, word[1]] = word[2]
	next
}
/^@test / { test = $2; next }
/^=== (RUN|NAME|CONT) / { now = $3; next }
/^@exit / { exits[file, $2] = $3; next }
/^@end/ { ended[file] = 1; next }
/^ +[a-z0-9_]+\.go:[0-9]+: / { why[file, test, now] = $0; sub(/^ +[a-z0-9_]+\.go:[0-9]+: /, "", why[file, test, now]); next }
/^ *--- FAIL: / { failed[file, test] = failed[file, test] " " $3; next }
/^ *--- SKIP: / {
	s = "- " test ", " $3 ": " why[file, test, $3]
	if (!(s in where)) skipped[++nskipped] = s
	where[s] = where[s] (s in where && where[s] ? ", " : "") kernel[file]
}

function cell(f, name, runs) {
	if ((f, name) in exits && exits[f, name] != 0) return "failed"
	if (runs ~ /^yes.* without /) { sub(/.* without /, "runs, without ", runs); return runs }
	return runs ~ /^yes/ ? "runs" : runs == "" ? "?" : "degraded: " substr(runs, 5)
}

END {
	head = "| probe |"
	line = "|---|"
	for (f = 2; f <= file; f++) { head = head " " kernel[f] " |"; line = line "---|" }
	print head "\n" line
	for (i = 1; i <= nprobes; i++) {
		printf "| %s |", probes[i]
		for (f = 2; f <= file; f++) printf " %s |", cell(f, probes[i], runs[f, probes[i]])
		print ""
	}
	for (i = 1; i <= nskipped; i++) {
		if (i == 1) print "\nTests that are skipped:\n"
		print skipped[i] " (" where[skipped[i]] ")"
	}
	for (f = 2; f <= file; f++) {
		if (!ended[f]) bad(ARGV[f] ": the run did not come to its end", 2)
		for (i = 1; i <= ntests; i++) {
			if (!((f, tests[i]) in exits)) bad(kernel[f] ": " tests[i] " did not run", 2)
			else if (exits[f, tests[i]] != 0) bad(kernel[f] ": " tests[i] " failed:" failed[f, tests[i]], 1)
		}
	}
	exit status
}
