# Completion of plumb's arguments for fish: plumb completion fish | source

function __plumb_complete
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l directive 0
	set -l values
	for line in (eval (string escape -- $words[1]) __complete (string escape -- $words[2..-1] "$current") 2>/dev/null)
		if string match -q ':*' -- $line
			set directive (string sub -s 2 -- $line)
		else
			set -a values $line
		end
	end
	if test (count $values) -eq 0 -a $directive -lt 4
		__fish_complete_path $current
		return
	end
	printf '%s\n' $values
end

complete -c plumb -f -a '(__plumb_complete)'
