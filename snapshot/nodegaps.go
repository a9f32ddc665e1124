package snapshot

import (
	"encoding/json"
	"maps"
	"strings"
)

// WithGaps returns the files of a node with gaps in its node.json, so that a bundle says what
// was not collected of it. Of a node without any files, node.json is all there is.
func WithGaps(files Files, node string, gaps []Gap) Files {
	if len(gaps) == 0 {
		return files
	}
	dir := "nodes/" + node
	f := nodeFile{Name: node}
	if json.Unmarshal(files[dir+"/node.json"], &f) != nil {
		f = nodeFile{Name: node}
	}
	for _, g := range gaps {
		rest, ok := strings.CutPrefix(g.Path, dir)
		if !ok {
			rest = ""
		}
		f.Gaps = append(f.Gaps, gapFile{strings.TrimPrefix(rest, "/"), g.Why})
	}
	data, err := json.Marshal(f)
	if err != nil {
		return files // strings and a time
	}
	out := maps.Clone(files)
	if out == nil {
		out = Files{}
	}
	out[dir+"/node.json"] = append(data, '\n')
	return out
}
