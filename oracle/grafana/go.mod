module github.com/plumbnet/plumb/oracle/grafana

go 1.26.0
