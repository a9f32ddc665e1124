//go:build linux

package fault

import "github.com/plumbnet/plumb/lab"

// throughIngress is a connection to the Ingress controller, which passes it on to the API or closes it.
var throughIngress = lab.Path{From: "node/node-b", To: lab.IngressPod + lab.IngressPort}

// ingresses are faults by which an Ingress controller has nowhere to send to: it answers 404, 502, 503 or 504.
var ingresses = []Fault{
	{
		Name: "ingress-no-endpoints", Check: "no-endpoints", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress,
		Story: "The Service behind the Ingress selects app=api-v2, which no Pod has: the controller answers 503.",
		Inject: both(ingress, func(l *lab.Lab) error {
			l.Service("shop/api").Spec.Selector = map[string]string{"app": "api-v2"}
			return sync(l)
		}),
	},
	{
		Name: "ingress-wrong-port", Check: "route-backend-missing", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress,
		Story: "The Ingress sends to port 8080 of the Service, which has port 80 alone: the controller answers 503.",
		Inject: both(ingress, func(l *lab.Lab) error {
			l.Objects.Ingresses[0].Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Number = 8080
			return nil
		}),
	},
	{
		Name: "ingress-not-listening", Check: "not-listening", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress,
		Story: "The API's Pods are ready, and none listens any more: the controller answers 502.",
		Inject: both(ingress, func(l *lab.Lab) error {
			for _, p := range []string{apiA, apiB, apiC} {
				if err := l.Unlisten(l.Pod(p).NS, "tcp", ":8080"); err != nil {
					return err
				}
			}
			return nil
		}),
	},
	{
		Name: "ingress-class-missing", Check: "route-class-missing", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress,
		Story: "The Ingress names the class nginx-internal, which is not there: the controller answers 404.",
		Inject: both(ingress, func(l *lab.Lab) error {
			other := "nginx-internal"
			l.Objects.Ingresses[0].Spec.IngressClassName = &other
			return nil
		}),
	},
	{
		Name: "ingress-policy", Check: "policy-denies", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress,
		Story:  "A NetworkPolicy lets Pods of app=admin alone reach the API: the controller waits for an answer, and answers 504.",
		Inject: both(ingress, policed(nil, "api", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: admin}}}]}]}`)),
	},
	{
		Name: "ingress-route-missing", Check: "route-missing", Path: throughIngress, URL: lab.IngressURL, Prepare: ingress, Topologies: peers,
		Story:  "The controller's node lost its route to node-a's Pods, of which one is an endpoint: the controller answers 504 in its turn.",
		Inject: both(ingress, ip("node-c", "route del 10.244.0.0/24\n")),
	},
}

// ingress gives the cluster an Ingress, unless it has one.
func ingress(l *lab.Lab) error {
	if len(l.Objects.Ingresses) > 0 {
		return nil
	}
	return l.Ingress()
}
