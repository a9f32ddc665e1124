# Makes what "go test -bench" prints fit to be read: a line a benchmark, with the package
# that it is of. What is no benchmark's line, a table or a failure, it leaves as it is.

function nanoseconds(v) {
	if (v >= 1e9) return sprintf("%.2f s", v / 1e9)
	if (v >= 1e6) return sprintf("%.1f ms", v / 1e6)
	if (v >= 1e3) return sprintf("%.1f us", v / 1e3)
	return sprintf("%.0f ns", v)
}

/^pkg:/ {
	pkg = $2
	sub(/.*\/plumb\//, "", pkg)
	next
}
/^(goos:|goarch:|cpu:|PASS|ok )/ || /^$/ { next }
/^Benchmark/ && NF > 3 {
	name = $1
	sub(/^Benchmark/, "", name)
	sub(/-[0-9]+$/, "", name)
	line = sprintf("%-13s %-36s", pkg, name)
	for (i = 3; i < NF; i += 2) {
		unit = $(i + 1)
		if (unit == "ns/op") line = line sprintf(" %10s", nanoseconds($i))
		else if (unit != "B/op") line = line sprintf("  %s %s", $i, unit)
	}
	print line
	fflush()
	next
}
{ print; fflush() }
