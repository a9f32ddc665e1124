package report

var (
	zhReport   = map[string]string{}
	zhDiagnose = map[string]string{}
	zhTrace    = map[string]string{}
	zhCheck    = map[string]string{}
	zhPlain    = map[string]string{}
)
