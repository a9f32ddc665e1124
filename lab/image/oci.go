package image

import (
	"archive/tar"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Media types of the OCI Image Format Specification, version 1.
const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar"
)

type object = map[string]any

// A descriptor says what a blob is.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Platform    *platform         `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// loadable is an image as "docker load" looks for it.
type loadable struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// A layout is what an archive is made of: blobs by their paths.
type layout struct {
	blobs  map[string][]byte
	docker []loadable
}

// Write writes an archive with images. Layers that several of them have are in it once.
func Write(w io.Writer, images ...Image) error {
	a := layout{blobs: map[string][]byte{}}
	var names []string
	named := map[string][]descriptor{}
	for _, i := range images {
		d, err := a.image(i, slices.ContainsFunc(images, func(o Image) bool { return o.Name == i.Name && o.arch() != i.arch() }))
		if err != nil {
			return err
		}
		if named[i.Name] == nil {
			names = append(names, i.Name)
		}
		named[i.Name] = append(named[i.Name], d)
	}
	var top []descriptor
	for _, name := range names {
		d := named[name][0]
		if len(named[name]) > 1 {
			var err error
			if d, err = a.json(typeIndex, object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": named[name]}); err != nil {
				return err
			}
		}
		_, tag, _ := strings.Cut(path.Base(name), ":")
		d.Annotations = map[string]string{"io.containerd.image.name": Reference(name), "org.opencontainers.image.ref.name": tag}
		top = append(top, d)
	}
	return a.write(w, top)
}

// Reference returns the whole name of an image, as containerd keeps it and Kubernetes asks for it.
func Reference(name string) string {
	first, _, ok := strings.Cut(name, "/")
	switch {
	case !ok:
		return "docker.io/library/" + name
	case !strings.ContainsAny(first, ".:") && first != "localhost":
		return "docker.io/" + name
	}
	return name
}

func (i Image) arch() string { return cmp.Or(i.Arch, architecture) }

// image adds the blobs of an image.
func (a *layout) image(i Image, many bool) (descriptor, error) {
	var layers []descriptor
	var diffs []string
	for _, l := range i.Layers {
		blob, err := l.tar()
		if err != nil {
			return descriptor{}, err
		}
		diffs = append(diffs, digest(blob))
		kind := typeLayer
		if i.Gzip {
			kind += "+gzip"
			if blob, err = compress(blob); err != nil {
				return descriptor{}, err
			}
		}
		layers = append(layers, a.add(kind, blob))
	}
	if i.Created.IsZero() {
		i.Created = time.Unix(0, 0)
	}
	config, err := a.json(typeConfig, object{
		"created": i.Created.UTC().Format(time.RFC3339), "architecture": i.arch(), "os": "linux",
		"config":  object{"Entrypoint": i.Entrypoint, "Env": i.Env, "WorkingDir": "/", "Labels": i.Labels},
		"rootfs":  object{"type": "layers", "diff_ids": diffs},
		"history": slices.Repeat([]object{{"created_by": "plumb-lab"}}, len(diffs)),
	})
	if err != nil {
		return descriptor{}, err
	}
	d, err := a.json(typeManifest, object{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": layers, "annotations": i.Labels})
	if err != nil {
		return descriptor{}, err
	}
	d.Platform = &platform{i.arch(), "linux"}
	// Docker's list knows no architectures: there the name of each says it.
	load := loadable{Config: config.path(), RepoTags: []string{i.Name}}
	if many {
		load.RepoTags[0] += "-" + i.arch()
	}
	for _, l := range layers {
		load.Layers = append(load.Layers, l.path())
	}
	a.docker = append(a.docker, load)
	return d, nil
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// path is where the layout has the blob.
func (d descriptor) path() string { return "blobs/" + strings.Replace(d.Digest, ":", "/", 1) }

func (a *layout) add(kind string, blob []byte) descriptor {
	d := descriptor{MediaType: kind, Digest: digest(blob), Size: len(blob)}
	a.blobs[d.path()] = blob
	return d
}

func (a *layout) json(kind string, v any) (descriptor, error) {
	b, err := json.Marshal(v)
	return a.add(kind, b), err
}

// write writes the archive: what is in it, and then its blobs in the order of their names.
func (a *layout) write(w io.Writer, top []descriptor) error {
	out := tar.NewWriter(w)
	for _, f := range []struct {
		name string
		v    any
	}{
		{"oci-layout", object{"imageLayoutVersion": "1.0.0"}},
		{"index.json", object{"schemaVersion": 2, "mediaType": typeIndex, "manifests": top}},
		{"manifest.json", a.docker},
	} {
		b, err := json.Marshal(f.v)
		if err != nil {
			return err
		}
		if err := (File{Path: f.name, Text: string(b), Mode: 0o644}).write(out); err != nil {
			return err
		}
	}
	for _, d := range []string{"blobs", "blobs/sha256"} {
		if err := (File{Path: d, Dir: true}).write(out); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.blobs)) {
		if err := (File{Path: name, Text: string(a.blobs[name]), Mode: 0o644}).write(out); err != nil {
			return err
		}
	}
	return out.Close()
}
