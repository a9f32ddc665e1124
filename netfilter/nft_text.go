package netfilter

func nftText(expr, comment *jsonNode) string { return "" }
