//go:build linux

package observe

import (
	"bytes"
	"context"
	"os"
	"time"
)

// Load reads a configuration from a file.
func (o *Observer) Load(file string) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, err
	}
	return ReadConfig(file, data, o.o.Kinds)
}

// followTime is how often the file is looked at. Reading it, and not waiting to be told, is right whatever way it is
// replaced: written in place, renamed over, or by the turn of a symbolic link as kubelet does it with a ConfigMap.
const followTime = 2 * time.Second

// Follow applies the configuration of a file each time that it changes, until ctx ends. One that is
// not valid, or not there, leaves the old one running, and is said. What of it cannot be had is tried again.
func (o *Observer) Follow(ctx context.Context, file string, last []byte) {
	tick := time.NewTicker(followTime)
	defer tick.Stop()
	var missing bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		data, err := os.ReadFile(file)
		if err != nil {
			if !missing {
				o.Refuse(err)
				o.o.Log.Printf("configuration: %v: the old one stays", err)
			}
			missing = true
			continue
		}
		if bytes.Equal(data, last) && !missing {
			o.again()
			continue
		}
		last, missing = data, false
		c, err := ReadConfig(file, data, o.o.Kinds)
		if err != nil {
			o.Refuse(err)
			o.o.Log.Printf("configuration: the old one stays: %v", err)
			continue
		}
		o.Apply(c)
		but := ""
		if o.Trouble() != "" { // which is said
			but = ", but for that"
		}
		o.o.Log.Printf("configuration: %s is applied%s", file, but)
	}
}
