package report

// zhRoute is what is said of Ingresses and Gateways, in Chinese.
var zhRoute = map[string]string{
	"whether %s takes it is its controller's matter: %s":                "%s 是否接收它由控制器决定：%s",
	"%s and %s both have %s, and Ingress does not say which one counts": "%s 与 %s 都有 %s，Ingress 没有规定以哪个为准",
	"requests for %s are sent nowhere: %s":                              "对 %s 的请求无处可去：%s",
	"name a Service and a port that are there":                          "改为存在的 Service 和端口",
	"no controller acts on it: %s":                                      "没有控制器处理它：%s",
	"name the class of a controller that runs":                          "写上正在运行的控制器的类",
	"it and %s both have %s, and send it to %s and %s":                  "它与 %s 都有 %s，分别转发到 %s 和 %s",
	"take %s out of one of the two":                                     "从其中一个去掉 %s",
	"requests for %s do not get in: %s":                                 "对 %s 的请求进不来：%s",
	"correct what the status says of %s and %s":                         "按状态改正 %s 与 %s",
	"Services were not collected":                                       "没有采集 Service",
	"there is no Service %s/%s":                                         "没有 Service %s/%s",
	"Service %s/%s has no port named %q":                                "Service %s/%s 没有名为 %q 的端口",
	"Service %s/%s has no port %d":                                      "Service %s/%s 没有端口 %d",
	"it has no class, and there was no default one when it was made":    "它没有指定类，而且创建时也没有默认类",
	"there is no IngressClass %s":                                       "没有 IngressClass %s",
	"there is no GatewayClass %s":                                       "没有 GatewayClass %s",
	"what a %s does is not known":                                       "不知道 %s 的行为",
	"listener %s of Gateway %s/%s does not work: %s: %s":                "Gateway %[2]s/%[3]s 的监听器 %[1]s 不工作：%[4]s：%[5]s",
	"%s does not accept it: %s: %s":                                     "%s 不接受它：%s：%s",
	"what the filter %s does is not known":                              "不知道过滤器 %s 的行为",
	"a %s is nothing that requests are sent to":                         "%s 不能作为请求的后端",
	"ReferenceGrants were not collected":                                "没有采集 ReferenceGrant",
	"no ReferenceGrant in namespace %s lets %s in %s use Service %s":    "命名空间 %s 中没有 ReferenceGrant 允许 %[3]s 中的 %[2]s 使用 Service %[4]s",
}
