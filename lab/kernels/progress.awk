# Tells of each test binary how it ended, as it ends, and of one that failed what it said.
/^@test / { said = ""; next }
/^@exit / {
	print name ": " $2 ($3 == 0 ? " ok" : " FAILED, status " $3) " " $4 " s"
	if ($3 != 0) printf "%s", said
	fflush()
	next
}
/^ *--- FAIL|^ +[a-z0-9_]+\.go:[0-9]+: |^panic|^fatal error|^\t/ { if (length(said) < 20000) said = said $0 "\n" }
