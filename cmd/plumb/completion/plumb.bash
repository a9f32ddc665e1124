# Completion of plumb's arguments for bash: source <(plumb completion bash)

_plumb() {
	local cur line word directive prefix
	local -a words
	# bash splits words at ":" and "=", which plumb's have in them.
	read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
	case ${COMP_LINE:0:COMP_POINT} in *[[:space:]]) words+=("") ;; esac
	cur=${words[${#words[@]} - 1]}
	COMPREPLY=()
	directive=0
	while IFS= read -r line; do
		case $line in
		:*) directive=${line#:} ;;
		*) COMPREPLY+=("${line%%$'\t'*}") ;;
		esac
	done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
	if ((directive & 2)); then
		compopt -o nospace 2>/dev/null
	fi
	if ((${#COMPREPLY[@]} == 0)) && !((directive & 4)); then
		compopt -o default 2>/dev/null # files
		return
	fi
	# Of a word that bash has split it wants the last part only.
	prefix=
	for word in : =; do
		if [[ $COMP_WORDBREAKS == *"$word"* && $cur == *"$word"* ]]; then
			line=${cur%"$word"*}$word
			((${#line} > ${#prefix})) && prefix=$line
		fi
	done
	COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}

complete -F _plumb plumb
