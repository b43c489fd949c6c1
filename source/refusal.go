package source

import (
	"fmt"
	"net/http"
)

// reason is why a notification was refused. The set is closed: it is the label of a metric.
type reason string

// The reasons, and ok for none.
const (
	ok           reason = "ok"
	badMethod    reason = "method"
	unauthorized reason = "unauthorized"
	noToken      reason = "token"
	overloaded   reason = "overloaded"
	tooLarge     reason = "too_large"
	unreadable   reason = "unreadable"
	invalid      reason = "invalid"
	gone         reason = "gone"
	// A notification that the sink does not take has the result of the event as its reason.
	sinkRefused     reason = "sink_refused"
	sinkUnavailable reason = "sink_unavailable"
	sinkUnreachable reason = "sink_unreachable"
	sinkTimeout     reason = "sink_timeout"
)

// statuses are the answers. Alertmanager sends again what was answered 5xx and gives up what was answered 4xx, so only
// what no repetition can mend is the latter.
var statuses = map[reason]int{
	badMethod:       http.StatusMethodNotAllowed,
	unauthorized:    http.StatusUnauthorized,
	noToken:         http.StatusServiceUnavailable,
	overloaded:      http.StatusServiceUnavailable,
	tooLarge:        http.StatusRequestEntityTooLarge,
	unreadable:      http.StatusBadRequest,
	invalid:         http.StatusBadRequest,
	sinkRefused:     http.StatusServiceUnavailable,
	sinkUnavailable: http.StatusServiceUnavailable,
	sinkUnreachable: http.StatusServiceUnavailable,
	sinkTimeout:     http.StatusServiceUnavailable,
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	reason reason
	text   string
}

func refuse(why reason, format string, args ...any) *refusal {
	return &refusal{status: statuses[why], reason: why, text: oneLine(fmt.Sprintf(format, args...))}
}

// Reason is ok for nil.
func (r *refusal) Reason() reason {
	if r == nil {
		return ok
	}
	return r.reason
}
