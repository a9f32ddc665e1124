package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plumbnet/plumb/check/all"
	"github.com/plumbnet/plumb/collect/kube"
	"github.com/spf13/pflag"
)

// completeVerb asks what a word could be: plumb __complete WORD... WORD, the last of which may be half
// a word. The answer is a line for each value, with a tab and what it is, and a last line with a directive.
// Both are as Cobra's programs have them, and so what kubectl asks its plugins.
const completeVerb = "__complete"

// The directives, which are added up.
const (
	noSpace = 2 // do not end the word
	noFiles = 4 // and do not complete files' names instead
)

// impatience is how long a shell waits for the API server.
const impatience = 900 * time.Millisecond

// A choice is a value that a word may have.
type choice struct{ value, about string }

// choices are values without more to be said of them.
func choices(values ...string) (out []choice) {
	for _, v := range values {
		out = append(out, choice{value: v})
	}
	return out
}

// complete writes what the last of words could be. It is silent about whatever fails.
func complete(words []string, stdout io.Writer) int {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	values, files := candidates(words[:len(words)-1], last)
	directive := noFiles
	if files {
		directive = 0
	}
	var names []string
	for _, v := range values {
		if !strings.HasPrefix(v.value, last) || slices.Contains(names, v.value) {
			continue
		}
		names = append(names, v.value)
		about := strings.Map(func(r rune) rune { return map[bool]rune{true: ' ', false: r}[r < ' '] }, v.about)
		fmt.Fprintln(stdout, strings.TrimSuffix(v.value+"\t"+about, "\t"))
	}
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "/") || strings.HasSuffix(n, "=") }) {
		directive |= noSpace
	}
	fmt.Fprintf(stdout, ":%d\n", directive)
	return statusFine
}

// candidates returns what may follow words; or that it is a file.
func candidates(words []string, last string) (values []choice, files bool) {
	if len(words) == 0 {
		for _, v := range verbs() {
			values = append(values, choice{v.name, v.about})
		}
		return append(values, choice{"help", "tell what there is"}), false
	}
	i := slices.IndexFunc(verbs(), func(v verb) bool { return v.name == words[0] })
	if i < 0 {
		return nil, false
	}
	fs := pflag.NewFlagSet(words[0], pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}
	fs.ParseErrorsAllowlist.UnknownFlags = true
	c := completer{verb: words[0], live: verbs()[i].flags(fs)}
	words = words[1:]
	if n := len(words); n > 0 {
		if f := wanting(fs, words[n-1]); f != nil {
			_ = fs.Parse(words[:n-1]) // for the flags about the cluster
			return c.flag(f, last)
		}
	}
	_ = fs.Parse(words)
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(name, "--") && fs.Lookup(name[2:]) != nil {
		values, files = c.flag(fs.Lookup(name[2:]), value)
		for i := range values {
			values[i].value = name + "=" + values[i].value
		}
		return values, files
	}
	if strings.HasPrefix(last, "-") {
		return flagNames(fs), false
	}
	return positional(c.verb, fs.NArg()), false
}

// wanting returns the flag of a word that takes the next one for its value, or nil.
func wanting(fs *pflag.FlagSet, word string) *pflag.Flag {
	var f *pflag.Flag
	switch {
	case strings.HasPrefix(word, "--"):
		f = fs.Lookup(word[2:])
	case strings.HasPrefix(word, "-") && len(word) == 2:
		f = fs.ShorthandLookup(word[1:])
	}
	if f == nil || f.NoOptDefVal != "" {
		return nil
	}
	return f
}

func flagNames(fs *pflag.FlagSet) (out []choice) {
	fs.VisitAll(func(f *pflag.Flag) {
		_, about := pflag.UnquoteUsage(f)
		out = append(out, choice{"--" + f.Name, about})
		if f.Shorthand != "" {
			out = append(out, choice{"-" + f.Shorthand, about})
		}
	})
	return append(out, choice{"--help", "tell what there is"})
}

// positional returns what may stand without a flag, after n others.
func positional(verb string, n int) (out []choice) {
	switch {
	case n > 0:
	case verb == "completion":
		return choices(shells...)
	case verb == "record":
		return choices(recordShow, recordEpisodes)
	case verb == "explain":
		for _, k := range all.Checks {
			title, _, _ := strings.Cut(k.Doc, "\n")
			out = append(out, choice{k.Name, title})
		}
	}
	return out
}

// A completer knows the values of the flags of a verb.
type completer struct {
	verb string
	live *live // nil: the verb has no flags about a cluster
}

// files are flags whose values are files.
var files = strings.Fields("snapshot dir kubeconfig html objects map redact-key restore filename")

// flag returns the values that a flag may have.
func (c completer) flag(f *pflag.Flag, last string) (values []choice, file bool) {
	switch f.Name {
	case "lang":
		return choices("en", "zh"), false
	case "proto":
		return choices("tcp", "udp", "sctp", "icmp"), false
	case "output":
		if c.verb != "snapshot" {
			return choices(forms...), false
		}
		return nil, true
	case "context":
		names, _ := kube.Contexts(c.live.kube.Kubeconfig)
		return choices(names...), false
	case "source", "destination":
		return c.ends(last, f.Name == "destination"), false
	case "namespace", "agent-namespace":
		return c.ask(listing{"namespaces", "", "", ""}), false
	case "node":
		return c.ask(listing{"nodes", "", "", ""}), false
	}
	return nil, slices.Contains(files, f.Name)
}

// A listing is what to ask the API server for, and what to put around the names.
type listing struct{ resource, namespace, before, after string }

// ends returns what may be an end of a path: names of the namespace at hand, and the beginnings
// of others, so that a big cluster is asked for one namespace at a time.
func (c completer) ends(last string, destination bool) []choice {
	kind, rest, _ := strings.Cut(last, "/")
	namespace, _, more := strings.Cut(rest, "/")
	switch {
	case !strings.Contains(last, "/"):
		out := []choice{{"node/", "a node"}}
		if destination {
			out = append(out, choice{"svc/", "a Service"})
		}
		return append(out, c.ask(listing{"namespaces", "", "", "/"}, listing{"pods", here, "", ""})...)
	case kind == "node":
		return c.ask(listing{"nodes", "", "node/", ""})
	case kind == "svc" && destination && more:
		return c.ask(listing{"services", namespace, "svc/" + namespace + "/", ""})
	case kind == "svc" && destination:
		return c.ask(listing{"namespaces", "", "svc/", "/"}, listing{"services", here, "svc/", ""})
	}
	return c.ask(listing{"pods", kind, kind + "/", ""})
}

// here stands for the namespace of -n, or of the kubeconfig.
const here = "."

// ask asks the API server, for several lists at once.
func (c completer) ask(lists ...listing) []choice {
	if c.live == nil {
		return nil
	}
	c.live.kube.Timeout = impatience
	client, err := kube.Connect(c.live.kube)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), impatience)
	defer cancel()
	parts := make([][]choice, len(lists))
	var wg sync.WaitGroup
	for i, l := range lists {
		wg.Go(func() {
			if l.namespace == here {
				l.namespace = cmp.Or(client.Namespace, "default")
			}
			names, _ := client.Names(ctx, l.resource, l.namespace)
			for _, n := range names {
				parts[i] = append(parts[i], l.choices(n)...)
			}
		})
	}
	wg.Wait()
	return slices.Concat(parts...)
}

// choices turns a name into what may be typed: for a Service one for each of its ports,
// which kubectl shows as "80/TCP,443:30443/TCP".
func (l listing) choices(n kube.Name) (out []choice) {
	if l.resource != "services" {
		return []choice{{l.before + n.Name + l.after, n.About}}
	}
	for p := range strings.SplitSeq(n.About, ",") {
		number, proto, ok := strings.Cut(p, "/")
		number, _, _ = strings.Cut(number, ":")
		if ok {
			out = append(out, choice{l.before + n.Name + ":" + number, proto})
		}
	}
	return out
}
