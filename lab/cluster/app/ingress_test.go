package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// objects are those of a cluster with one Ingress, as its API server gives them.
var objects = map[string]string{
	"/apis/networking.k8s.io/v1/ingresses": `{"items": [{"metadata": {"namespace": "shop"}, "spec": {"ingressClassName": "nginx", "rules": [
		{"host": "shop.example", "http": {"paths": [{"backend": {"service": {"name": "api", "port": {"number": 80}}}}]}},
		{"host": "port.example", "http": {"paths": [{"backend": {"service": {"name": "api", "port": {"number": 81}}}}]}},
		{"host": "none.example", "http": {"paths": [{"backend": {"service": {"name": "none", "port": {"number": 80}}}}]}},
		{"host": "gone.example", "http": {"paths": [{"backend": {"service": {"name": "gone", "port": {"number": 80}}}}]}}]}},
		{"metadata": {"namespace": "shop"}, "spec": {"ingressClassName": "other", "rules": [{"host": "other.example", "http": {"paths": [{}]}}]}}]}`,
	"/api/v1/namespaces/shop/services/api":  `{"spec": {"ports": [{"name": "http", "port": 80}]}}`,
	"/api/v1/namespaces/shop/services/none": `{"spec": {"ports": [{"name": "http", "port": 80}]}}`,
	"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io/service-name=api": `{"items": [{"ports": [{"name": "http", "port": 8080}], "endpoints": [
		{"addresses": ["10.244.0.3"], "conditions": {"ready": false}}, {"addresses": ["10.244.1.3"], "conditions": {"ready": true}}]}]}`,
	"/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=kubernetes.io/service-name=none": `{"items": []}`,
}

func TestBackend(t *testing.T) {
	for path, text := range objects {
		if !json.Valid([]byte(text)) {
			t.Fatalf("%s: %s", path, text)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := objects[r.URL.RequestURI()]
		if !ok || r.Header.Get("Authorization") != "Bearer secret" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, text)
	}))
	defer s.Close()
	api := &apiServer{base: s.URL, token: "secret"}
	for _, tt := range []struct {
		host, to string
		status   int
	}{
		{"shop.example", "10.244.1.3:8080", 200},
		{"other.example", "no rule for other.example", 404},
		{"port.example", "no endpoint of shop/api port 81", 503},
		{"none.example", "no endpoint of shop/none port 80", 503},
		{"gone.example", "/api/v1/namespaces/shop/services/gone: 404 Not Found", 503},
	} {
		if to, status := api.backend("nginx", tt.host); to != tt.to || status != tt.status {
			t.Errorf("%s: %d %s, want %d %s", tt.host, status, to, tt.status, tt.to)
		}
	}
	api.token = ""
	if _, status := api.backend("nginx", "shop.example"); status != 500 {
		t.Errorf("without a token: %d", status)
	}
}
