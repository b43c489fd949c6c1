package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// setRoutes gives each policy a short name for all that sends an alert to it and to its group there: the matchers and
// labels of it and of the policies before it, and the file's rules about subjects. When it changes, alerts may belong
// to other groups.
func setRoutes(policies []Policy, subjects []byte) {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q", subjects) // A hash takes everything.
	for i := range policies {
		p := &policies[i]
		_, _ = fmt.Fprintf(h, "%q %q %q %v;", p.Name, p.Matchers.String(), p.GroupBy, p.Drop)
		p.Route = hex.EncodeToString(h.Sum(nil)[:4])
	}
}
