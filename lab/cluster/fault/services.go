//go:build linux

package fault

// The usual questions.
var (
	across = Question{From: "web@node-a", To: "web@node-b:8080"}
	toAPI  = Question{From: "web@node-a", To: "svc/shop/api:80"}
)

// container returns a change of a workload's only container, of which nothing else is to stay when it is made.
func container(name, change string) string {
	return `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null},"template":{"spec":{"containers":[{"name":"` + name + `",` + change + `}]}}}}`
}

// services are faults of Services, of their endpoints and of the Pods behind them.
var services = []Fault{
	{
		Name: "selector-typo", Check: "no-endpoints",
		Story:    "The Service's selector says app=api-v2, and no Pod has that label.",
		Question: toAPI,
		inject:   patch(apiService, `{"spec":{"selector":{"app":"api-v2"}}}`),
		heal:     patch(apiService, `{"spec":{"selector":{"app":"api"}}}`),
	},
	{
		Name: "target-port", Check: "target-port",
		Story:    "The Service's targetPort is 8081; the Pods listen on 8080.",
		Question: toAPI,
		inject:   patch(apiService, `{"spec":{"ports":[{"port":80,"targetPort":8081}]}}`),
		heal:     patch(apiService, `{"spec":{"ports":[{"port":80,"targetPort":"http"}]}}`),
	},
	{
		Name: "none-ready", Check: "no-endpoints",
		Story:    "All API Pods fail their readiness probe, which asks the wrong port.",
		Question: toAPI,
		inject:   do(patch(apiDeploy, container("api", `"readinessProbe":{"httpGet":{"port":8089}}`)), unready("api", 3)),
		heal:     do(patch(apiDeploy, container("api", `"readinessProbe":{"httpGet":{"port":8080}}`)), rolledOut(apiDeploy)),
	},
	{
		Name: "listen-loopback", Check: "listen-loopback",
		Story:    "A new release of the API listens on 127.0.0.1 only, and has no readiness probe that would tell.",
		Question: toAPI,
		inject:   do(patch(apiDeploy, container("api", `"args":["serve","127.0.0.1:8080"],"readinessProbe":null`)), rolledOut(apiDeploy)),
		heal: do(patch(apiDeploy, container("api", `"args":["serve",":8080"],"readinessProbe":{"httpGet":{"path":"/","port":8080},"periodSeconds":1,"timeoutSeconds":5}`)),
			rolledOut(apiDeploy)),
	},
	{
		Name: "traffic-policy-local", Check: "traffic-policy-local",
		Story:    "The Service's externalTrafficPolicy is Local, and node-b, which is cordoned, has none of its Pods: its node port drops.",
		Question: Question{From: "outside", To: "node/node-b:30080"},
		inject:   do(kubectl("cordon node-b"), remove("api", "node-b"), patch(apiService, `{"spec":{"externalTrafficPolicy":"Local"}}`)),
		heal:     every(kubectl("uncordon node-b"), patch(apiService, `{"spec":{"externalTrafficPolicy":"Cluster"}}`), rolledOut(apiDeploy)),
	},
	{
		Name: "dns-not-ready", Check: "no-endpoints",
		Story:    "CoreDNS was given a readiness probe of a port that it does not have: the DNS Service has no endpoint.",
		Question: Question{From: "web@node-a", To: "svc/kube-system/kube-dns:53", Proto: "udp", By: lookup},
		inject:   do(patch(dnsDeploy, container("coredns", `"readinessProbe":{"httpGet":{"port":8182}}`)), unready("kube-dns", 2)),
		heal:     do(patch(dnsDeploy, container("coredns", `"readinessProbe":{"httpGet":{"port":8181}}`)), rolledOut(dnsDeploy)),
	},
}
