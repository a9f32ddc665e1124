#compdef plumb
# Completion of plumb's arguments for zsh: source <(plumb completion zsh), after compinit;
# or plumb completion zsh > "${fpath[1]}/_plumb"

_plumb() {
	local line directive=0
	local -a answers values space
	answers=("${(@f)$("${(Q)words[1]/#\~/$HOME}" __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	for line in "${answers[@]}"; do
		case $line in
		:*) directive=${line#:} ;;
		*$'\t'*) values+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		?*) values+=("${line//:/\\:}") ;;
		esac
	done
	if (( $#values == 0 )); then
		(( directive & 4 )) || _files
		return
	fi
	(( directive & 2 )) && space=(-S '')
	_describe plumb values "${space[@]}"
}

compdef _plumb plumb
