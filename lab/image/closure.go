package image

import (
	"debug/elf"
	"fmt"
	"path"
	"strings"
)

// A tree is what packages hold, by path.
type tree struct {
	files map[string]File
	owner map[string]*pack
	libs  map[string]string // paths of shared libraries by their names
}

func newTree(packs []pack) tree {
	t := tree{map[string]File{}, map[string]*pack{}, map[string]string{}}
	for i := range packs {
		for _, f := range packs[i].files {
			t.files[f.Path], t.owner[f.Path] = f, &packs[i]
			// Where ld.so looks: /lib/TRIPLET and /usr/lib/TRIPLET.
			dir := strings.TrimPrefix(path.Dir(f.Path), "/usr")
			if strings.HasPrefix(dir, "/lib/") && strings.HasSuffix(dir, "-linux-gnu") && strings.Count(dir, "/") == 2 {
				t.libs[path.Base(f.Path)] = f.Path
			}
		}
	}
	return t
}

// A closure collects files, and those without which they do not run.
type closure struct {
	tree
	layer Layer
	have  map[string]bool
}

// add adds the file at a path, what it links to, and the libraries that it names.
func (c *closure) add(name string) error {
	if c.have[name] {
		return nil
	}
	f, ok := c.files[name]
	if !ok {
		return fmt.Errorf("no package has %s", name)
	}
	c.have[name] = true
	c.layer = append(c.layer, f)
	if f.Link != "" {
		to := f.Link
		if !path.IsAbs(to) {
			to = path.Join(path.Dir(name), to)
		}
		return c.add(to)
	}
	needs, err := needed(f.Text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, n := range needs {
		if !path.IsAbs(n) {
			if c.libs[n] == "" {
				return fmt.Errorf("%s: no package has the library %s", name, n)
			}
			n = c.libs[n]
		}
		if err := c.add(n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// needed returns the libraries that a program or a library names, and the path of its dynamic linker.
func needed(text string) ([]string, error) {
	f, err := elf.NewFile(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	libs, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	if s := f.Section(".interp"); s != nil {
		b, err := s.Data()
		if err != nil {
			return nil, err
		}
		libs = append(libs, strings.TrimRight(string(b), "\x00"))
	}
	return libs, nil
}
