package text

import (
	"encoding/json"
	"testing"
)

func TestText(t *testing.T) {
	s := F("%s has MTU %d", "eth0", 1400)
	if got := s.String(); got != "eth0 has MTU 1400" {
		t.Errorf("got %q", got)
	}
	b, err := json.Marshal(map[string]Text{"what": s})
	if err != nil || string(b) != `{"what":"eth0 has MTU 1400"}` {
		t.Errorf("got %s, %v", b, err)
	}
	if (Text{}).String() != "" || !(Text{}).IsZero() || s.IsZero() {
		t.Error("the zero Text says something, or another says nothing")
	}
}
