package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"

	"github.com/plumbnet/plumb/event"
)

// An OTLP is the configuration of what takes logs by the OpenTelemetry protocol over HTTP, as JSON: http://collector:4318,
// to which /v1/logs is added where the URL has no path.
type OTLP struct {
	HTTP
}

type otlp struct{ *poster }

func openOTLP(c OTLP) (*otlp, error) {
	p, err := newPoster("otlp", c.HTTP, "/v1/logs", func(status int) bool { // the protocol lists them
		return status == http.StatusTooManyRequests || status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout
	})
	return &otlp{p}, err
}

// The messages of opentelemetry/proto/logs/v1, as far as they are used here. Integers of 64 bits are strings in JSON.
type (
	otlpRequest struct {
		ResourceLogs []otlpResource `json:"resourceLogs"`
	}
	otlpResource struct {
		Resource  otlpAttributes `json:"resource"`
		ScopeLogs []otlpScope    `json:"scopeLogs"`
	}
	otlpAttributes struct {
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScope struct {
		Scope struct {
			Name string `json:"name"`
		} `json:"scope"`
		LogRecords []otlpRecord `json:"logRecords"`
	}
	otlpRecord struct {
		Time       string          `json:"timeUnixNano"`
		Observed   string          `json:"observedTimeUnixNano"`
		EventName  string          `json:"eventName"`
		Body       otlpValue       `json:"body"`
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		String *string `json:"stringValue,omitempty"`
		Int    string  `json:"intValue,omitempty"`
	}
)

// Write sends events. Those that the server takes no part of it counts itself.
func (o *otlp) Write(ctx context.Context, events []event.Event) error {
	body, err := otlpBody(events)
	if err != nil {
		return &refusal{len(events), err}
	}
	answer, err := o.post(ctx, body, len(events))
	if err != nil {
		return err
	}
	var a struct {
		PartialSuccess struct {
			Rejected json.Number `json:"rejectedLogRecords"`
			Message  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if json.Unmarshal(answer, &a) != nil {
		return nil // it has taken them, whatever it says
	}
	if n, err := strconv.Atoi(a.PartialSuccess.Rejected.String()); err == nil && n > 0 {
		return &refusal{n, fmt.Errorf("%s: %d refused: %.200q", o.url, n, a.PartialSuccess.Message)}
	}
	return nil
}

// otlpBody returns events as a request, in which each node is a resource.
func otlpBody(events []event.Event) ([]byte, error) {
	var r otlpRequest
	at := map[string]int{}
	for i := range events {
		e := &events[i]
		j, ok := at[e.Node]
		if !ok {
			j = len(r.ResourceLogs)
			at[e.Node] = j
			var s otlpScope
			s.Scope.Name = "plumb"
			attributes := []otlpAttribute{attribute("service.name", "plumbd")}
			if e.Node != "" {
				attributes = append(attributes, attribute("k8s.node.name", e.Node))
			}
			r.ResourceLogs = append(r.ResourceLogs, otlpResource{otlpAttributes{attributes}, []otlpScope{s}})
		}
		records := &r.ResourceLogs[j].ScopeLogs[0].LogRecords
		*records = append(*records, record(e))
	}
	return json.Marshal(r)
}

// record returns an event with the names that OpenTelemetry's semantic conventions have for what it tells.
func record(e *event.Event) otlpRecord {
	at := strconv.FormatInt(e.Time.UnixNano(), 10)
	body := e.String()
	r := otlpRecord{Time: at, Observed: at, EventName: e.Kind, Body: otlpValue{String: &body}, Attributes: []otlpAttribute{}}
	add := func(key, value string) {
		if value != "" {
			r.Attributes = append(r.Attributes, attribute(key, value))
		}
	}
	namespace, pod := event.Split(e.Pod)
	add("k8s.namespace.name", namespace)
	add("k8s.pod.name", pod)
	add("plumb.peer", e.Peer)
	add("plumb.by", e.By.String())
	if e.Packet.Proto != 0 {
		add("network.transport", e.Packet.Proto.String())
	}
	for _, end := range []struct {
		name string
		addr netip.AddrPort
	}{{"source", e.Packet.Src}, {"destination", e.Packet.Dst}} {
		if !end.addr.Addr().IsValid() {
			continue
		}
		add(end.name+".address", end.addr.Addr().String())
		if p := end.addr.Port(); p != 0 {
			r.Attributes = append(r.Attributes, otlpAttribute{end.name + ".port", otlpValue{Int: strconv.Itoa(int(p))}})
		}
	}
	for _, f := range e.Detail {
		add("plumb."+f.Key, f.Value)
	}
	return r
}

func attribute(key, value string) otlpAttribute { return otlpAttribute{key, otlpValue{String: &value}} }
