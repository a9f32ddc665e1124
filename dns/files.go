package dns

import (
	"maps"
	"path"
	"slices"
)

// Files are those that CoreDNS reads, as far as they are known.
type Files struct {
	Corefile string            // its path: "/etc/coredns/Corefile", from which others are named
	Text     map[string]string // by path
	Dirs     []string          // the folders of which all files are known
}

// glob returns the files that a pattern names, sorted; known is false where there may be others.
func (f Files) glob(pattern string) (names []string, known bool) {
	for _, n := range slices.Sorted(maps.Keys(f.Text)) {
		if ok, _ := path.Match(pattern, n); ok {
			names = append(names, n)
		}
	}
	return names, len(names) > 0 && names[0] == pattern || slices.Contains(f.Dirs, path.Dir(pattern))
}

// text returns what is in a file; known is false where that cannot be told. Of a file that is known
// not to be there, ok is false: CoreDNS's own folder, from which others are named, has none.
func (f Files) text(name string) (s string, ok, known bool) {
	s, ok = f.Text[path.Join("/", name)]
	return s, ok, ok || !path.IsAbs(name) || slices.Contains(f.Dirs, path.Dir(name))
}
