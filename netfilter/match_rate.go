package netfilter

import "math"

// newRecent makes "-m recent". The lists are not collected; --set always matches.
func newRecent(_ *ruleParser, _ *rule, o []opt) match {
	name, set, not := "DEFAULT", false, false
	for _, o := range o {
		switch o.name {
		case "--name":
			name = o.a
		case "--set":
			set, not = true, o.not
		case "--rcheck", "--update", "--remove":
			not = o.not
		}
	}
	switch {
	case set && not:
		return never{}
	case set:
		return nil
	}
	m := &unknownMatch{"the list of -m recent " + name + " was not collected", unlikely}
	if not {
		m.share = likely
	}
	return m
}

// newLimit makes "-m limit": the first packets are within it.
func newLimit(*ruleParser, *rule, []opt) match {
	return &unknownMatch{"whether the rate is above -m limit is not known", likely}
}

func newHashlimit(_ *ruleParser, _ *rule, o []opt) match {
	m := &unknownMatch{"whether the rate is above -m hashlimit is not known", likely}
	for _, o := range o {
		if above := o.name == "--hashlimit-above"; above != o.not && (above || o.name == "--hashlimit-upto" || o.name == "--hashlimit") {
			m.share = unlikely
		}
	}
	return m
}

func newConnlimit(p *ruleParser, _ *rule, o []opt) match {
	m := &unknownMatch{"the number of connections is not known (-m connlimit)", likely}
	for _, o := range o {
		if o.name != "--connlimit-upto" && o.name != "--connlimit-above" {
			continue
		}
		above := o.name == "--connlimit-above"
		n := p.number(o.a, 32)
		if above != o.not {
			m.share = unlikely
		}
		if n == math.MaxUint32 {
			return nil
		}
	}
	return m
}
