// Package grafana compares the dashboards with the types of Grafana's own schema library (npm: @grafana/schema), which
// is no part of plumb's module, nor is Node.js.
package grafana
