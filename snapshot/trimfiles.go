package snapshot

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"
)

// TrimObjects returns the files with those of objects read, trimmed and written anew, a file a
// kind: of kinds that plumb does not read, and of what [Objects.Trim] takes out, nothing is left. What
// of a file is not understood is left out, and said in its .error; a kind that was not read whole stays
// one that was not collected.
func TrimObjects(files Files) (Files, error) {
	out, objects := Files{}, Files{}
	for name, data := range files {
		if path.Dir(name) == "objects" && path.Ext(name) == ".json" {
			objects[name] = data
		} else {
			out[name] = data
		}
	}
	if len(objects) == 0 {
		return out, nil
	}
	c, err := Read(objects)
	if err != nil {
		return nil, err
	}
	c.Objects.Trim()
	for _, k := range kinds {
		if err := k.put(&c.Objects, out); err != nil {
			return nil, err
		}
	}
	for _, g := range c.Gaps {
		if path.Dir(g.Path) == "objects" {
			out[g.Path+".error"] = append(bytes.Clone(out[g.Path+".error"]), g.Why+"\n"...)
		}
	}
	return out, nil
}

// put writes the objects of a kind. Those of a kind that was not collected as a whole must not
// seem to be: one object stands alone, a List lacks its end.
func (k *kind) put(o *Objects, to Files) error {
	n := len(k.keys(o))
	if n == 0 && !o.Have[k.name] {
		return nil
	}
	data, err := k.encode(o)
	switch {
	case err != nil:
		return err
	case o.Have[k.name]:
		to[k.file()] = append(data, '\n')
	case n == 1:
		var list struct{ Items []json.RawMessage }
		if err = json.Unmarshal(data, &list); err == nil {
			to["objects/one-"+strings.ToLower(k.name)+".json"] = append(list.Items[0], '\n')
		}
	default:
		to[k.file()] = bytes.TrimSuffix(data, []byte("]}"))
	}
	return err
}
