package report

// zhPlain are reasons that other packages give as plain strings, in Chinese.
var zhPlain = map[string]string{}
