package check

import "strings"

// maxNamed bounds the nodes that a sentence names.
const maxNamed = 5

// Together makes one finding of several that a check has about nodes which lack the same: the first, with the
// places, the symptoms and some of the evidence of the others. It returns the names of the nodes, for the sentence.
func Together(fs []Finding) (f Finding, nodes string) {
	f = fs[0]
	var names []string
	for i, g := range fs {
		names = append(names, strings.TrimPrefix(g.Where, "node/"))
		if i == 0 {
			continue
		}
		f.Also = append(f.Also, g.Where)
		f.Explains = append(f.Explains, g.Explains...)
		f.OnPath = f.OnPath || g.OnPath
		if i <= maxAlso {
			f.Evidence = append(f.Evidence, g.Evidence...)
		}
	}
	nodes = strings.Join(names[:min(maxNamed, len(names))], ", ")
	if len(names) > maxNamed {
		nodes += ", …"
	}
	return f, nodes
}
