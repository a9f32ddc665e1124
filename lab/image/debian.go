package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// freshness is for how long apt is not asked again. It takes 5 s of a core each time.
const freshness = time.Hour

// keyring holds the keys that Debian signs its lists of packages with.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// aptConfig keeps apt away from the state of the machine: all that it writes is below
// one directory, in which nothing is installed.
const aptConfig = `APT::Architecture %[2]q;
APT::Architectures { %[2]q; };
APT::Install-Recommends "0";
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State %[1]q;
Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache %[1]q;
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::Etc::sourceparts "-";
`

// An apt gets packages for an architecture, from where this machine gets its own. It checks
// them by Debian's signature.
type apt struct {
	dir, arch string
}

// prepare makes the directory.
func (a apt) prepare(ctx context.Context) error {
	for _, d := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, d), 0o755); err != nil {
			return err
		}
	}
	sources, err := debianSources(ctx)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"status": "", "sources.list": sources, "apt.conf": fmt.Sprintf(aptConfig, a.dir, a.arch)} {
		if err := os.WriteFile(filepath.Join(a.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// get runs apt-get.
func (a apt) get(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-q", "-y"}, args...)...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+filepath.Join(a.dir, "apt.conf"), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	return output(cmd)
}

// output runs a program and returns what it prints.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(exit.Stderr))
	}
	return string(out), err
}

// debianSources returns the sources of Debian itself among those of this machine, as a sources.list.
func debianSources(ctx context.Context) (string, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^VERSION_CODENAME="?(\w+)`).FindSubmatch(release)
	if m == nil || !regexp.MustCompile(`(?m)^ID=debian$`).Match(release) {
		return "", errors.New("the programs of the image are Debian's, and this machine is none of Debian's: /etc/os-release")
	}
	code := string(m[1])
	out, err := output(exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI) $(COMPONENT)", "Created-By: Packages"))
	if err != nil {
		return "", err
	}
	var list strings.Builder
	seen := map[string]bool{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "main" || seen[line] || f[0] != code && f[0] != code+"-updates" && f[0] != code+"-security" {
			continue
		}
		seen[line] = true
		fmt.Fprintf(&list, "deb [signed-by=%s] %s %s main\n", keyring, f[1], f[0])
	}
	if list.Len() == 0 {
		return "", fmt.Errorf("apt has no source of Debian %s", code)
	}
	return list.String(), nil
}

// install is a line of what "apt-get --simulate" would do: a package, its version and architecture.
var install = regexp.MustCompile(`(?m)^Inst (\S+) \((\S+) .*\[(\w+)\]\)`)

// packages returns the files of packages and of all that they depend on.
func (a apt) packages(ctx context.Context, names ...string) ([]string, error) {
	done := filepath.Join(a.dir, "packages") // what apt answered last
	info, err := os.Stat(done)
	if err != nil || time.Since(info.ModTime()) > freshness {
		list, err := a.download(ctx, names)
		if err == nil {
			err = os.WriteFile(done, []byte(strings.Join(list, "\n")), 0o644)
		}
		if err != nil && info == nil {
			return nil, err
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "plumb-lab: packages may be older than they need be:", err)
		}
	}
	list, err := os.ReadFile(done)
	return strings.Fields(string(list)), err
}

// download gets packages that this machine may not have yet, and returns their files.
func (a apt) download(ctx context.Context, names []string) ([]string, error) {
	if err := a.prepare(ctx); err != nil {
		return nil, err
	}
	if _, err := a.get(ctx, "-o", "Acquire::Retries=3", "update", "--error-on=any"); err != nil {
		return nil, err
	}
	if _, err := a.get(ctx, append([]string{"install", "--download-only", "-o", "Acquire::Retries=3"}, names...)...); err != nil {
		return nil, err
	}
	plan, err := a.get(ctx, append([]string{"install", "--simulate"}, names...)...)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, m := range install.FindAllStringSubmatch(plan, -1) {
		name := fmt.Sprintf("%s_%s_%s.deb", m[1], strings.ReplaceAll(m[2], ":", "%3a"), m[3])
		files = append(files, filepath.Join(a.dir, "archives", name))
	}
	if len(files) < len(names) {
		return nil, fmt.Errorf("apt-get would install %d packages for %v: %s", len(files), names, plan)
	}
	return files, nil
}

// A pack is a package that has been unpacked.
type pack struct {
	name    string
	control string // its stanza, as dpkg keeps it
	files   []File // without directories
}

// unpack reads a package.
func unpack(ctx context.Context, deb string) (p pack, err error) {
	p.control, err = output(exec.CommandContext(ctx, "dpkg-deb", "--field", deb))
	if err != nil {
		return p, err
	}
	if m := regexp.MustCompile(`(?m)^Package: (\S+)$`).FindStringSubmatch(p.control); m != nil {
		p.name = m[1]
	}
	data, err := output(exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb))
	if err != nil {
		return p, err
	}
	for in := tar.NewReader(strings.NewReader(data)); ; {
		h, err := in.Next()
		if err == io.EOF {
			return p, nil
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", deb, err)
		}
		f := File{Path: strings.TrimPrefix(h.Name, "."), Mode: h.Mode & 0o777}
		switch h.Typeflag {
		case tar.TypeReg:
			text, err := io.ReadAll(in)
			if err != nil {
				return p, fmt.Errorf("%s: %w", deb, err)
			}
			f.Text = string(text)
		case tar.TypeSymlink:
			f.Link = h.Linkname
		default:
			continue
		}
		p.files = append(p.files, f)
	}
}
