//go:build linux

package agent

import (
	"net/http"
	"time"

	"github.com/plumbnet/plumb/agent/peers"
	"golang.org/x/time/rate"
)

// What other nodes may have this one keep: two windows at once, and then one in five minutes. Of the 20 that there is
// room for, its own stay. A recorder's window is two minutes long, and asked for while it is not over.
const (
	freezeBurst = 2
	freezeEvery = 5 * time.Minute
	maxWindow   = 5 * time.Minute
	maxOld      = 10 * time.Minute // that it ended
	maxAhead    = 2 * time.Minute  // until it ends
)

func newFreezes() *rate.Limiter { return rate.NewLimiter(rate.Every(freezeEvery), freezeBurst) }

// freeze keeps a window that another node's agent found worth keeping. Nobody is asked in turn.
func (s *Server) freeze(w http.ResponseWriter, r *http.Request) {
	var ask peers.Window
	if err := readBody(w, r, &ask); err != nil {
		fail(w, err)
		return
	}
	now := time.Now()
	switch {
	case ask.Why == "":
		fail(w, refuse(http.StatusBadRequest, "why: for what?"))
	case ask.To.Sub(ask.From) > maxWindow || ask.To.After(now.Add(maxAhead)) || ask.To.Before(now.Add(-maxOld)):
		fail(w, refuse(http.StatusBadRequest, "from %s to %s: want %s at most, of about now", ask.From, ask.To, maxWindow))
	case !s.freezes.Allow():
		fail(w, refuse(http.StatusTooManyRequests, "other nodes ask for more than %d windows, and then one in %s", freezeBurst, freezeEvery))
	default:
		if err := s.o.Observer.Freeze(ask.ID, ask.Why, ask.From, ask.To); err != nil {
			fail(w, refuse(http.StatusUnprocessableEntity, "%v", err))
			return
		}
		writeJSON(w, struct{}{})
	}
}
