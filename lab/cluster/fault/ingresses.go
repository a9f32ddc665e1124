//go:build linux

package fault

// toShop asks for the host of the shop's Ingress.
var toShop = Question{From: "outside", To: "http://shop.example"}

// shopIngress is the Ingress of the lab.
const shopIngress = "-n shop ingress/shop"

// ingresses are faults by which requests are answered by the Ingress controller itself, with 404, 502, 503 or 504.
var ingresses = []Fault{
	{
		Name: "ingress-no-endpoints", Check: "no-endpoints",
		Story:    "The Service behind the Ingress selects app=api-v2, which no Pod has: the controller answers 503.",
		Question: toShop,
		inject:   patch(apiService, `{"spec":{"selector":{"app":"api-v2"}}}`),
		heal:     patch(apiService, `{"spec":{"selector":{"app":"api"}}}`),
	},
	{
		Name: "ingress-wrong-port", Check: "route-backend-missing",
		Story:    "The Ingress sends to port 8080 of the Service, which has port 80 alone: the controller answers 503.",
		Question: toShop,
		inject:   patch(shopIngress, backendPort("8080")),
		heal:     patch(shopIngress, backendPort("80")),
	},
	{
		Name: "ingress-target-port", Check: "target-port",
		Story:    "The Service's targetPort is 8081, and the Pods listen on 8080: the controller answers 502.",
		Question: toShop,
		inject:   patch(apiService, `{"spec":{"ports":[{"port":80,"targetPort":8081}]}}`),
		heal:     patch(apiService, `{"spec":{"ports":[{"port":80,"targetPort":"http"}]}}`),
	},
	{
		Name: "ingress-class-missing", Check: "route-class-missing",
		Story:    "The Ingress names the class nginx-internal, which is not there: the controller answers 404.",
		Question: toShop,
		inject:   patch(shopIngress, `{"spec":{"ingressClassName":"nginx-internal"}}`),
		heal:     patch(shopIngress, `{"spec":{"ingressClassName":"nginx"}}`),
	},
	{
		Name: "ingress-policy", Check: "policy-denies",
		Story:    "A NetworkPolicy lets the shop's own Pods alone reach the API: the controller waits for an answer, and answers 504.",
		Question: toShop,
		inject:   do(enforce(nil), allowOnly("web")),
		heal:     every(allowAll, unenforce),
	},
}

// backendPort is a change of the port that the Ingress sends to.
func backendPort(port string) string {
	return `{"spec":{"rules":[{"host":"shop.example","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"api","port":{"number":` + port + `}}}}]}}]}}`
}
