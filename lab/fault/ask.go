//go:build linux

package fault

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/plumbnet/plumb/diagnose"
	"github.com/plumbnet/plumb/lab"
)

// Ask returns the question that a user would put about the fault's path, once it is injected.
func (f Fault) Ask(l *lab.Lab) (diagnose.Ask, error) {
	p, err := l.PathProbe(f.Path)
	if err != nil {
		return diagnose.Ask{}, err
	}
	ask := diagnose.Ask{Src: f.Path.From, Dst: f.Path.To, Proto: p.Proto.String()}
	if a := map[string]netip.Addr{"outside": lab.OutsideIP, "office": l.OfficeAt}[f.Path.From]; a.IsValid() {
		ask.Src = a.String()
	}
	if name, _, _ := strings.Cut(f.Path.To, ":"); name == "outside" || name == "office" {
		ask.Dst = p.To.String()
	}
	if f.URL != "" {
		ask.Dst = f.URL
	}
	if f.Path.Name != "" {
		ask.Dst, ask.Proto = strings.TrimSuffix(f.Path.Name, ".")+":80", ""
	}
	for _, s := range f.External {
		e, err := netip.ParsePrefix(s)
		if err != nil {
			return ask, fmt.Errorf("fault %s: %w", f.Name, err)
		}
		ask.External = append(ask.External, e)
	}
	return ask, nil
}
