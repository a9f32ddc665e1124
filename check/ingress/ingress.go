// Package ingress finds Ingresses and routes of Gateways that send requests nowhere.
package ingress

import (
	"slices"
	"strings"

	"github.com/plumbnet/plumb/check"
	"github.com/plumbnet/plumb/route"
	"github.com/plumbnet/plumb/snapshot"
	"github.com/plumbnet/plumb/text"
)

// Backend reports rules that send to a Service or a port that is not there, or that they may not use.
var Backend = &check.Check{
	Name: "route-backend-missing",
	Doc: `an Ingress or an HTTPRoute sends to a Service or a port that is not there

Symptom: requests for a host and path are answered by 503 (most Ingress controllers) or 500 (Gateways).
Cause: the Service that the rule names is not in its namespace, or has no such port; or it is in another namespace,
where no ReferenceGrant lets the route use it.
Cure: name a Service and a port that are there, or write the ReferenceGrant.
Commands:
    kubectl -n NAMESPACE describe ingress INGRESS
    kubectl -n NAMESPACE get services
    kubectl -n NAMESPACE get httproute ROUTE -o jsonpath='{.status.parents}'`,
	DocZH: `Ingress 或 HTTPRoute 指向不存在的 Service 或端口

症状：某个域名和路径的请求得到 503（多数 Ingress 控制器）或 500（Gateway）。
原因：规则写的 Service 在其命名空间中不存在，或没有该端口；或在另一个命名空间，而那里没有 ReferenceGrant 允许该路由使用它。
处理：改为存在的 Service 和端口，或写上 ReferenceGrant。
命令：
    kubectl -n 命名空间 describe ingress 名称
    kubectl -n 命名空间 get services
    kubectl -n 命名空间 get httproute 名称 -o jsonpath='{.status.parents}'`,
	Needs: []string{"objects/Service"},
	Run:   backend,
}

// Class reports Ingresses and Gateways that no controller acts on.
var Class = &check.Check{
	Name: "route-class-missing",
	Doc: `no controller acts on an Ingress or a Gateway: its class is not there

Symptom: the Ingress or Gateway never gets an address; requests for its hosts are answered by 404, or by nobody.
Cause: ingressClassName or gatewayClassName names a class that is not there, or the Ingress names none and none was the default when it was made.
Cure: name the class of a controller that runs; mark one class as the default before Ingresses without one are made.
Commands:
    kubectl get ingressclasses
    kubectl get gatewayclasses
    kubectl -n NAMESPACE get ingress INGRESS -o jsonpath='{.spec.ingressClassName}'`,
	DocZH: `没有控制器处理该 Ingress 或 Gateway：它的类不存在

症状：Ingress 或 Gateway 一直没有地址；访问其域名得到 404，或无人应答。
原因：ingressClassName 或 gatewayClassName 写的类不存在，或没有写类而创建时也没有默认类。
处理：写上正在运行的控制器的类；在创建不写类的 Ingress 之前先指定默认类。
命令：
    kubectl get ingressclasses
    kubectl get gatewayclasses
    kubectl -n 命名空间 get ingress 名称 -o jsonpath='{.spec.ingressClassName}'`,
	Run: class,
}

// Twice reports two Ingresses that send the same host and path to different Services.
var Twice = &check.Check{
	Name: "route-host-twice",
	Doc: `two Ingresses send the same host and path to different Services

Symptom: requests reach now the one application, now the other, or the wrong one since a controller restarted.
Cause: both Ingresses have the same class, host, path and path type; the API does not say which one counts.
Cure: take the path out of one of the two, or give it another host.
Commands:
    kubectl get ingresses -A | grep HOST`,
	DocZH: `两个 Ingress 把同一域名和路径转发到不同的 Service

症状：请求时而到这个应用，时而到那个；或控制器重启后到了错误的应用。
原因：两个 Ingress 的类、域名、路径和路径类型都相同；API 没有规定以哪个为准。
处理：从其中一个去掉该路径，或改用别的域名。
命令：
    kubectl get ingresses -A | grep 域名`,
	Run: twice,
}

// Refused reports routes that their Gateway's controller does not serve.
var Refused = &check.Check{
	Name: "gateway-refuses",
	Doc: `a Gateway's controller does not serve a route, or a listener

Symptom: requests for the host are answered by 404, or the TLS handshake fails.
Cause: as the status of the two says: often the Secret with the certificate is missing or in a namespace without a
ReferenceGrant, or the route has no host, port or kind in common with a listener. Of an Ingress no status says
that its Secret is missing, and plumb reads no Secrets: look for the controller's own certificate in the answer.
Cure: as the message says.
Commands:
    kubectl -n NAMESPACE get gateway GATEWAY -o jsonpath='{.status.listeners}'
    kubectl -n NAMESPACE get httproute ROUTE -o jsonpath='{.status.parents}'`,
	DocZH: `Gateway 的控制器不处理某条路由或某个监听器

症状：访问该域名得到 404，或 TLS 握手失败。
原因：见两者的状态：常见的是证书的 Secret 不存在，或在没有 ReferenceGrant 的命名空间里，或路由与监听器没有共同的域名、端口或类型。Ingress 的状态不会说明 Secret 缺失，而 plumb 不读取 Secret：请看应答里是不是控制器自带的证书。
处理：按状态中的消息处理。
命令：
    kubectl -n 命名空间 get gateway 名称 -o jsonpath='{.status.listeners}'
    kubectl -n 命名空间 get httproute 名称 -o jsonpath='{.status.parents}'`,
	Run: refused,
}

// failed says which of some files of objects could not be collected. A cluster need not have the kinds, and an
// older snapshot does not have the files: that alone is not said.
func failed(p *check.Pass, files ...string) {
	for _, f := range files {
		if g, ok := p.Snapshot.GapAt("objects/" + f + ".json"); ok {
			p.Unjudged(g.Path, g.Why)
		}
	}
}

type tableKey struct{}

func table(p *check.Pass) *route.Table {
	return check.Once(p, tableKey{}, func() *route.Table { return route.New(&p.Snapshot.Objects) })
}

// where returns how findings name an object: "ingress/shop/api".
func where(o route.Object) string {
	return strings.ToLower(o.Kind) + "/" + strings.TrimPrefix(o.Namespace+"/"+o.Name, "/")
}

// edit returns the command that changes an object.
func edit(o route.Object) []string {
	return []string{check.Cmd("kubectl -n %s edit %s %s", o.Namespace, strings.ToLower(o.Kind), o.Name)}
}

func backend(p *check.Pass) {
	failed(p, "ingresses", "httproutes", "gateways", "referencegrants")
	said := map[string]bool{} // one rule stands in the table for each host, match and listener
	for _, r := range table(p).Rules {
		for _, b := range r.Backends {
			at := where(r.Object) + " " + b.Fault.String()
			if b.Fault.IsZero() || b.Weight == 0 || said[at] {
				continue
			}
			said[at] = true
			p.Report(check.Finding{
				Severity: check.Error, Where: where(r.Object),
				What:     text.F("requests for %s are sent nowhere: %s", r.Title(), b.Fault),
				Fix:      check.Fix{What: text.F("name a Service and a port that are there"), Commands: edit(r.Object)},
				Evidence: []snapshot.Evidence{p.Object(r.Object.Kind, r.Object.Namespace, r.Object.Name, "backend: "+b.Namespace+"/"+b.Name)},
			})
		}
	}
}

func class(p *check.Pass) {
	failed(p, "ingresses", "ingressclasses", "gateways", "gatewayclasses")
	t := table(p)
	for _, e := range t.Entries {
		if e.Fault.IsZero() || len(e.Addrs)+len(e.Names) > 0 { // somebody acts on it all the same
			continue
		}
		of := []route.Object{e.Object}
		if e.Object.Kind != "Gateway" {
			of = of[:0]
			for _, r := range t.Rules {
				if r.Entry == e && !slices.Contains(of, r.Object) {
					of = append(of, r.Object)
				}
			}
		}
		for _, o := range of {
			p.Report(check.Finding{
				Severity: check.Warning, Where: where(o),
				What:     text.F("no controller acts on it: %s", e.Fault),
				Fix:      check.Fix{What: text.F("name the class of a controller that runs"), Commands: edit(o)},
				Evidence: []snapshot.Evidence{p.Object(o.Kind, o.Namespace, o.Name, "class: "+e.Object.Name)},
			})
		}
	}
}

func twice(p *check.Pass) {
	failed(p, "ingresses")
	t := table(p)
	for i, r := range t.Rules {
		if r.Object.Kind != "Ingress" || r.Host == "" || r.Canary {
			continue
		}
		j := slices.IndexFunc(t.Rules[:i], func(o *route.Rule) bool {
			return o.Object != r.Object && !o.Canary && o.Entry == r.Entry && o.Title() == r.Title() && o.Type == r.Type && !r.Agrees(o)
		})
		if j < 0 {
			continue
		}
		o := t.Rules[j]
		p.Report(check.Finding{
			Severity: check.Warning, Where: where(r.Object),
			What: text.F("it and %s both have %s, and send it to %s and %s", o.Object, r.Title(), r.Backends[0].Name, o.Backends[0].Name),
			Fix:  check.Fix{What: text.F("take %s out of one of the two", r.Title()), Commands: edit(r.Object)},
			Evidence: []snapshot.Evidence{p.Object("Ingress", r.Object.Namespace, r.Object.Name, "host: "+r.Host),
				p.Object("Ingress", o.Object.Namespace, o.Object.Name, "host: "+o.Host)},
		})
	}
}

func refused(p *check.Pass) {
	failed(p, "gateways", "httproutes")
	said := map[string]bool{}
	for _, r := range table(p).Rules {
		at := where(r.Object) + " " + r.Fault.String()
		if r.Fault.IsZero() || said[at] {
			continue
		}
		said[at] = true
		p.Report(check.Finding{
			Severity: check.Warning, Where: where(r.Object),
			What: text.F("requests for %s do not get in: %s", r.Title(), r.Fault),
			Fix:  check.Fix{What: text.F("correct what the status says of %s and %s", r.Object, r.Entry.Object)},
			Evidence: []snapshot.Evidence{p.Object(r.Object.Kind, r.Object.Namespace, r.Object.Name, "parent: "+r.Entry.Object.Namespace+"/"+r.Entry.Object.Name),
				p.Object(r.Entry.Object.Kind, r.Entry.Object.Namespace, r.Entry.Object.Name, "status")},
		})
	}
}
