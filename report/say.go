package report

import (
	"fmt"
	"maps"

	"github.com/plumbnet/plumb/text"
	"github.com/plumbnet/plumb/trace"
)

// zh is the Chinese catalogue: what each English format is in Chinese. Formats
// whose order differs number their arguments: %[2]s.
var zh = func() map[string]string {
	all := map[string]string{}
	for _, part := range []map[string]string{zhReport, zhDiagnose, zhTrace, zhCheck, zhIntent, zhRoute, zhDNS, zhWhatif, zhPlan, zhRecord, zhPlain} {
		maps.Copy(all, part)
	}
	return all
}()

// Say returns t in lang, "en" or "zh". Arguments that are themselves sentences
// are said in lang too. What has no translation is said in English.
func Say(t text.Text, lang string) string {
	if t.IsZero() {
		return ""
	}
	format, ok := zh[t.Format]
	if !ok || lang != "zh" {
		format = t.Format
	}
	args := make([]any, len(t.Args))
	for i, a := range t.Args {
		args[i] = sayArg(a, lang)
	}
	return fmt.Sprintf(format, args...)
}

// sayArg translates an argument that is a sentence, or a word that has one.
func sayArg(a any, lang string) any {
	switch a := a.(type) {
	case text.Text:
		return Say(a, lang)
	case trace.Fate:
		return Say(fateWords[a], lang)
	case string:
		return plainIn(a, lang)
	}
	return a
}

// plainIn translates a string that the catalogue holds as a whole.
func plainIn(s, lang string) string {
	if v, ok := zhPlain[s]; ok && lang == "zh" {
		return v
	}
	return s
}

// A tongue says things in one language, free of control characters.
type tongue string

// say returns t in the tongue.
func (l tongue) say(t text.Text) string { return clean(Say(t, string(l))) }

// plain returns the reason of a gap, which is a string in English, in the tongue where the catalogue knows it.
func (l tongue) plain(s string) string {
	return clean(plainIn(s, string(l)))
}

// code returns the tongue's code for HTML's lang attribute.
func (l tongue) code() string {
	if l == "zh" {
		return "zh-CN"
	}
	return "en"
}
