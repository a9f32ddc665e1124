package snapshot

// file returns where a bundle holds the objects of the kind: "objects/networkpolicies.json".
func (k *kind) file() string { return "objects/" + k.plural() + ".json" }

// JoinObjects joins objects that were not read from files, and names as the source of each the
// file that [EncodeObjects] writes it to.
func JoinObjects(parts ...Objects) Objects {
	pointers := make([]*Objects, len(parts))
	for i := range parts {
		pointers[i] = &parts[i]
		pointers[i].Source = map[string]string{}
		for _, k := range kinds {
			file := k.file()
			for _, key := range k.keys(pointers[i]) {
				pointers[i].Source[key] = file
			}
		}
	}
	out := mergeObjects(pointers, func(int, string, string) {})
	out.sort()
	return out
}

// EncodeObjects returns the objects as files, one for each kind that was collected.
func EncodeObjects(o *Objects) (Files, error) {
	files := Files{}
	for _, k := range kinds {
		if !o.Have[k.name] && len(k.keys(o)) == 0 {
			continue
		}
		data, err := k.encode(o)
		if err != nil {
			return nil, err
		}
		files[k.file()] = append(data, '\n')
	}
	return files, nil
}
