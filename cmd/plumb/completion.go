package main

import (
	"embed"
	"fmt"
	"io"
)

//go:embed completion
var completionFS embed.FS

// shells are those that there is a script for.
var shells = []string{"bash", "zsh", "fish"}

const completionSynopsis = `bash | zsh | fish

Prints a script that has the shell complete plumb's verbs, flags, and the names of Pods, Services, nodes
and namespaces, which it asks the API server for. In bash and zsh: source <(plumb completion bash); in
fish: plumb completion fish | source. For "kubectl plumb", link plumb to kubectl-plumb and to
kubectl_complete-plumb in a folder of PATH.
`

// completionVerb prints a script that completes plumb's arguments.
func completionVerb(args []string, stdout, stderr io.Writer) int {
	fs := newFlags("completion", completionSynopsis, stderr)
	rest, status, ok := parse(fs, args, 1, stderr)
	if !ok {
		return status
	}
	if len(rest) == 1 {
		if script, err := completionFS.ReadFile("completion/plumb." + rest[0]); err == nil {
			_, err := stdout.Write(script)
			return done(stderr, err)
		}
	}
	return fail(stderr, fmt.Errorf("completion is for bash, zsh and fish: plumb completion bash"))
}
